/** Cards of any run: metadata that a YAML parser reads back, and a text whose fences hold what they should. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { METRIC_NAMES, metricOf } from '../../../src/eval/index.js';
import { parseConfig } from '../../../src/experiments/config/index.js';
import { cardText, type CardFacts } from '../../../src/experiments/publish/card.js';
import type { Manifest } from '../../../src/experiments/store/manifest.js';
import type { TaskResult } from '../../../src/experiments/store/results.js';

const TASKS = {
  classification:
    "task: classification\n    train: {path: '/home/me/mails.csv'}\n    test: {path: /home/me/test.csv}",
  summarization:
    'task: summarization\n    train: {hub: org/news, split: train}\n    test: {hub: org/news, split: test}',
  custom:
    'task: custom\n    metric: accuracy\n    prompt: "```{question}```"\n    completion: "{answer}"\n    train: {path: a.jsonl}\n    test: {path: b.jsonl}',
  chat: 'task: chat\n    train: {path: chats.jsonl}\n    test: {path: chats-test.jsonl}',
};

type Kind = keyof typeof TASKS;

function runOf(kind: Kind, name: string, result: TaskResult | undefined): NonNullable<CardFacts['run']> {
  const config = parseConfig(`model_name_or_path: m\ntasks:\n  mine:\n    ${TASKS[kind]}\n`);
  const task = { ...config.tasks[0]!, name };
  const manifest: Manifest = {
    ...{ id: '0123456789ab', westwind: '0.1.0', started: '2026-01-01T00:00:00.000Z', weights: 'NF4' },
    config: { ...config, tasks: [task] },
    fingerprints: { model: 'abc', data: { [`${name}.test`]: 'fed' }, backend: 'cpu' },
  };
  return { manifest, task, result };
}

function resultOf(kind: Kind, name: string, metric: TaskResult['metric'], value: number): TaskResult {
  const names = Object.keys(metricOf(metric).figures);
  const interval = { low: value / 2, high: (1 + value) / 2 };
  return {
    ...{ task: name, kind, metric, train_rows: 7, test_rows: 3 },
    methods: [
      {
        ...{ method: 'tuned', rows: 3, unanswered: 0, seconds: 1 },
        metrics: Object.fromEntries(names.map((figure) => [figure, value])),
        intervals: Object.fromEntries(names.map((figure) => [figure, interval])),
      },
    ],
  };
}

const kind = fc.constantFrom(...(Object.keys(TASKS) as Kind[]));
const word = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !/[/\\\0]/.test(text));
const licence = fc.oneof(
  fc.constantFrom('apache-2.0', 'other', 'no', '1.0', '~'),
  fc.string({ minLength: 1 }),
);

interface Metadata extends Record<string, unknown> {
  readonly 'model-index'?: readonly {
    readonly results: readonly {
      readonly task: { readonly name: string };
      readonly metrics: readonly {
        readonly type: string;
        readonly value: number;
        readonly args: Readonly<Record<string, number>>;
      }[];
    }[];
  }[];
}

const metadataOf = (card: string): Metadata => parse(/^---\n([^]*?\n)---\n/.exec(card)![1]!) as Metadata;

describe('cardText', () => {
  it('has metadata that is read back as it was, whatever it is called', () => {
    fc.assert(
      fc.property(
        fc.record({
          kind,
          leaves: fc.constantFrom('adapter' as const, 'model' as const, 'gguf' as const),
          name: word,
          licence,
          metric: fc.constantFrom(...METRIC_NAMES),
          value: fc.double({ min: 0, max: 1, noNaN: true }),
          hasBase: fc.boolean(),
        }),
        ({ kind: task, leaves, name, licence: license, metric, value, hasBase }) => {
          const facts: CardFacts = {
            ...{ name: 'me/model', kind: leaves, hasEncoder: false, files: [] },
            base: { name: hasBase ? 'org/base' : undefined, card: { license, language: ['no', 'en'] } },
            run: runOf(task, name, resultOf(task, name, metric, value)),
          };
          const card = cardText(facts);
          assert.equal(card, cardText(facts));
          const metadata = metadataOf(card);
          assert.equal(metadata['license'], license);
          assert.deepEqual(metadata['language'], ['no', 'en']);
          assert.equal(metadata['base_model'], hasBase ? 'org/base' : undefined);
          assert.deepEqual(metadata['datasets'], task === 'summarization' ? ['org/news'] : undefined);
          const [result] = metadata['model-index']![0]!.results;
          assert.equal(result!.task.name, name);
          assert.equal(result!.metrics.length, Object.keys(metricOf(metric).figures).length);
          for (const figure of result!.metrics) {
            assert.match(figure.type, /^(accuracy|f1|rouge|exact_match|chrf)$/);
            assert.equal(figure.value, value);
            assert.equal(figure.args['low'], value / 2);
            assert.equal(figure.args['high'], (1 + value) / 2);
          }
          // Where the data lies is nobody's business.
          assert.ok(!card.includes('/home/me'), card);
        },
      ),
    );
  });

  it('tells of a run without figures what it was trained on, and has no index', () => {
    for (const task of Object.keys(TASKS) as Kind[]) {
      const card = cardText({
        ...{ name: 'me/model', kind: 'adapter', hasEncoder: true, files: [], base: { card: {} } },
        run: runOf(task, 'mine', undefined),
      });
      assert.equal(metadataOf(card)['model-index'], undefined);
      assert.match(card, /AutoPeftModelForSeq2SeqLM/);
      assert.match(card, /learning_rate/);
    }
  });

  it('shows the form of prompts, in fences that it does not end', () => {
    const card = (task: Kind): string =>
      cardText({
        ...{ name: 'me/model', kind: 'adapter', hasEncoder: false, files: [], base: { card: {} } },
        run: runOf(task, 'mine', undefined),
      });
    assert.match(card('classification'), /\n```\n### Sentence:\{text\} ### Class:\n```\n/);
    assert.match(card('custom'), /\n````\n```\{question\}```\n````\n/);
    assert.match(card('chat'), /Conversations, laid out by the chat template\./);
  });

  it('says what it is of what no run made', () => {
    const files = [{ path: 'm.gguf', bytes: 3, sha256: 'ab' }];
    const card = cardText({ name: 'me/m', kind: 'gguf', hasEncoder: false, files, base: { card: {} } });
    assert.deepEqual(metadataOf(card), {
      ...{ library_name: 'gguf', pipeline_tag: 'text-generation' },
      tags: ['gguf', 'llama.cpp', 'westwind'],
    });
    assert.match(card, /m\.gguf +\| +sha256 ab/);
    assert.match(card, /ollama run hf\.co\/me\/m/);
  });
});
