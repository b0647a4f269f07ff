/** Checks of a run's answers: figures, thresholds, a user's own files. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { readRecords } from '../../src/experiments/store/records.js';
import type { Prediction } from '../../src/experiments/store/predictions.js';
import type { TaskResult } from '../../src/experiments/store/results.js';
import { makeJob, makeModel, runFolder, temporaryFolder, westwind, type JobFiles } from './support.js';

const SHORT = { 'max_steps: 40': 'max_steps: 6' };
let model: string;
let job: JobFiles;
let plain: string;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
  job = makeJob(model, SHORT);
  plain = readFileSync(job.config, 'utf8');
  const { code, stderr } = await westwind(['run', job.config]);
  assert.equal(code, 0, stderr);
});

/** Runs the finished job with other checks, given as YAML lines. */
function check(...checks: string[]): ReturnType<typeof westwind> {
  const lines = checks.map((line) => `      - ${line}\n`).join('');
  writeFileSync(job.config, `${plain}    checks:\n${lines}`);
  return westwind(['run', job.config]);
}

interface ChecksFile {
  checks: Record<string, { mean: number; interval: { low: number; high: number }; min?: number }>;
  rows: ({ row: number } & Record<string, number>)[];
}

const task = (file: string): string => join(runFolder(job), 'subjects', file);
const json = (file: string): unknown => JSON.parse(readFileSync(task(file), 'utf8'));

test('a finished run gets other checks, computed from its answers, without another computation', async () => {
  assert.ok(!existsSync(task('checks-tuned.json')));
  const predictions = readFileSync(task('predictions-tuned.jsonl'));
  writeFileSync(
    join(job.folder, 'helper.ts'),
    `export enum Unit { Letter = 1 }\nexport const letters = (text: string): number => text.length * Unit.Letter;\n`,
  );
  writeFileSync(
    join(job.folder, 'letters.ts'),
    `import type { CheckRow } from 'westwind';
import { letters } from './helper.js';
export default async (row: CheckRow): Promise<number> => {
  await Promise.resolve();
  return letters(row.text!) + 1000 * row.columns['text']!.length;
};
`,
  );
  writeFileSync(join(job.folder, 'tuned.mjs'), `export default (row) => row.method === 'tuned';\n`);
  // What a check does to its row reaches no other, nor the answers.
  writeFileSync(
    join(job.folder, 'vandal.mjs'),
    `export default (row) => {
  for (const name of Object.keys(row.columns)) row.columns[name] = '';
  Object.assign(row, { row: -1, reference: '', answer: '', text: '', method: 'none', columns: {} });
  return true;
};
`,
  );
  const wanted = [
    '{check: vandal.mjs}',
    '{check: length, max: 1000}',
    '{check: rouge1, name: overlap}',
    '{check: ./letters.ts}',
    '{check: tuned.mjs, name: is_tuned, min: 0.5}',
  ];
  const { code, stdout, stderr } = await check(...wanted);
  // The bound holds for the tuned model alone, the others' figure is 0.
  assert.equal(code, 0, stderr + stdout);
  assert.match(stdout, /finished before/);
  assert.match(
    stdout,
    /\| subjects: checks \| +vandal \| +length ≤ 1000 \| +overlap \| +letters \| +is_tuned ≥ 0\.5 \|/,
  );
  assert.match(stdout, /\| LoRA +\|.*\| +1\.000 \[0\.701, 1\.000\] \|\n/);
  assert.deepEqual(readFileSync(task('predictions-tuned.jsonl')), predictions);

  const { checks, rows } = json('checks-tuned.json') as ChecksFile;
  const given = readRecords<Prediction>(task('predictions-tuned.jsonl')).sort((a, b) => a.row - b.row);
  assert.deepEqual(
    rows.map(({ row }) => row),
    given.map(({ row }) => row),
  );
  const texts = readFileSync(join(job.folder, 'test.csv'), 'utf8').trim().split('\n').slice(1);
  const expected = given.map(({ row, text }) => text!.length + 1000 * texts[row]!.split(',')[0]!.length);
  assert.deepEqual(
    rows.map(({ letters }) => letters),
    expected,
  );
  const mean = expected.reduce((a, b) => a + b, 0) / expected.length;
  assert.equal(checks['letters']!.mean, mean);
  assert.ok(checks['letters']!.interval.low <= mean && mean <= checks['letters']!.interval.high);
  const results = JSON.parse(readFileSync(join(runFolder(job), 'results.json'), 'utf8')) as TaskResult[];
  assert.deepEqual(results[0]!.methods[1]!.checks, checks);
  assert.match(readFileSync(join(runFolder(job), 'report.md'), 'utf8'), /letters/);

  const before = statSync(task('checks-tuned.json')).mtimeMs;
  await check(...wanted);
  assert.equal(statSync(task('checks-tuned.json')).mtimeMs, before);
});

test('a figure out of its bounds fails the command, with a line for each, and again when asked again', async () => {
  writeFileSync(join(job.folder, 'always.js'), `export default () => true;\n`);
  const failing = ['{check: always.js, max: 0.9}', '{check: word_overlap, min: 1.5}', '{check: jaccard}'];
  for (let time = 0; time < 2; time++) {
    const { code, stdout, stderr } = await check(...failing);
    assert.equal(code, 1, stderr);
    assert.equal(stderr, '');
    const lines = stdout.split('\n').filter((line) => line.startsWith('check failed: '));
    assert.deepEqual(lines.length, 2, stdout);
    assert.equal(lines[0], 'check failed: subjects, tuned: always is 1, above its max 0.9');
    assert.match(lines[1]!, /^check failed: subjects, tuned: word_overlap is [\d.]+, below its min 1\.5$/);
  }
});

test('a check that fails itself is told with its file and row; one that cannot be loaded, before anything runs', async () => {
  const file = join(job.folder, 'own.ts');
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      `export default (row: { row: number }) => { if (row.row === 4) throw new Error('no luck'); return 1; };`,
      /^westwind: the check .*own\.ts, zero_shot answer of test row 5: no luck\n$/,
    ],
    [`export default () => 'yes';`, /row 1: it gave yes; a check gives a finite number, or true or false\n$/],
    [`export default () => Number.NaN;`, /row 1: it gave NaN; /],
    [
      `export const check = () => 1;`,
      /^westwind: the check .*own\.ts has no function as its default export\n$/,
    ],
    [`export default (row: => 1;`, /^westwind: cannot load the check .*own\.ts: .+\n$/],
    [`import './nowhere.js'; export default () => 1;`, /cannot load the check .*own\.ts: .*nowhere/],
  ];
  for (const [text, message] of cases) {
    writeFileSync(file, text);
    const { code, stderr } = await check('{check: own.ts}');
    assert.equal(code, 2, text);
    assert.match(stderr, message);
  }
  const fresh = makeJob(model, { ...SHORT, 'seed: 5': 'seed: 6' });
  writeFileSync(join(fresh.folder, 'own.ts'), 'export default 1;');
  writeFileSync(fresh.config, `${readFileSync(fresh.config, 'utf8')}    checks: [{check: own.ts}]\n`);
  const { code, stderr } = await westwind(['run', fresh.config]);
  assert.equal(code, 2);
  assert.match(stderr, /no function/);
  assert.ok(!existsSync(fresh.runs));
});
