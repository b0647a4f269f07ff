import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, resultHash } from '../../../src/experiments/config/index.js';

const BASE = `model_name_or_path: m
tasks:
  a:
    task: classification
    train: {path: x.csv}
    test: {path: y.csv}
`;

test('the hash follows what determines the result, and nothing else', () => {
  const data = { 'a.train': 'X', 'a.test': 'Y' };
  const fingerprints = { model: 'M', backend: 'cpu', batchInvariant: true, data };
  const hash = (text: string, prints = fingerprints): string => resultHash(parseConfig(text), prints);
  const own = hash(BASE);
  assert.match(own, /^[0-9a-f]{12}$/);
  for (const same of [
    BASE.replace('x.csv', 'elsewhere.csv').replace('path: m', 'path: other'),
    `${BASE}output_dir: there\ndevice: cpu\n`,
    `${BASE}training: {logging_steps: 3, save_steps: 7, save_total_limit: 9, learning_rate: 2e-4}\n`,
    `${BASE}generation: {batch_size: 3}\n`,
    `seed: 42\n${BASE}`,
    `${BASE}report_to: []\n`,
    `${BASE}    checks: [{check: rouge1, min: 0.5}]\n`,
    `${BASE}    allow_overlap: true\n`,
    `${BASE}    deduplicate: false\n    decontaminate: false\n`,
  ]) {
    assert.equal(hash(same), own, same);
  }
  // The seed of a draw counts where rows are drawn, and where it is another than the run's.
  const drawn = hash(BASE.replace('y.csv', 'y.csv, count: 3'));
  assert.equal(hash(BASE.replace('y.csv', 'y.csv, seed: 1')), own);
  assert.equal(
    hash(BASE.replace('y.csv', 'y.csv, fraction: 1, seed: 1')),
    hash(BASE.replace('y.csv', 'y.csv, fraction: 1')),
  );
  assert.equal(hash(BASE.replace('y.csv', 'y.csv, count: 3, seed: 42')), drawn);
  assert.notEqual(hash(BASE.replace('y.csv', 'y.csv, count: 3, seed: 1')), drawn);
  assert.notEqual(
    hash(BASE.replace('x.csv', 'x.csv, count: 3, seed: 1')),
    hash(BASE.replace('x.csv', 'x.csv, count: 3')),
  );
  for (const other of [
    `${BASE}seed: 43\n`,
    `${BASE}training: {learning_rate: 1e-4}\n`,
    `${BASE}torch_dtype: float32\n`,
    `${BASE}    max_new_tokens: 21\n`,
    BASE.replace('x.csv', 'x.csv, count: 3'),
    BASE.replace('x.csv', 'x.csv, delimiter: ";"'),
    `${BASE}    split: {validation: 0.1}\n`,
    `${BASE}    scoring: both\n`,
    ...['exact', 'near'].map((how) => `${BASE}    deduplicate: ${how}\n`),
    ...['exact', 'ngram'].map((how) => `${BASE}    decontaminate: ${how}\n`),
  ]) {
    assert.notEqual(hash(other), own, other);
  }
  // Zero-shot answers are of no training rows.
  const asked = `${BASE}    training: false\n    baselines: [zero_shot]\n`;
  assert.equal(hash(`${asked}    deduplicate: near\n    decontaminate: ngram\n`), hash(asked));
  const parted = asked.replace('test: {path: y.csv}', 'split: {test: 0.2}');
  assert.notEqual(hash(`${parted}    deduplicate: near\n`), hash(parted));
  const scored = `${BASE}    scoring: both\n`;
  assert.notEqual(hash(`${scored}    likelihood_normalization: length\n`), hash(scored));
  assert.equal(hash(`${scored}    likelihood_normalization: none\n`), hash(scored));
  const split = (sizes: string): string => BASE.replace('test: {path: y.csv}', `split: {${sizes}}`);
  assert.equal(hash(split('test: 0.2')), hash(split('test: 0.2, seed: 42, stratify: true')));
  for (const other of [
    'test: 0.3',
    'test: 0.2, validation: 0.1',
    'test: 0.2, seed: 1',
    'test: 0.2, stratify: false',
  ])
    assert.notEqual(hash(split(other)), hash(split('test: 0.2')), other);
  const elsewhere = { ...fingerprints, backend: 'cuda', batchInvariant: false };
  assert.notEqual(hash(`${BASE}generation: {batch_size: 3}\n`, elsewhere), hash(BASE, elsewhere));
  assert.notEqual(hash(BASE, { ...fingerprints, model: 'N' }), own);
  assert.notEqual(hash(BASE, { ...fingerprints, data: { ...fingerprints.data, 'a.test': 'Z' } }), own);
  assert.throws(() =>
    hash(BASE, { ...fingerprints, data: { 'a.train': 'X', 'a.test': undefined as never } }),
  );
});
