/**
 * The inputs modelled on public bug reports: each folder's `cmd` runs in this checkout as it was built, and what it prints is held against
 * `expected`. Where that is prose, the judgement stands here; a folder without one fails.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const CASES = join(resolve(ROOT, process.env['WESTWIND_SHARED'] ?? '../shared'), 'cases');

interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** The answers of `generate --json`, in the order of the commands. */
function answersOf({ stdout }: Printed): unknown[] {
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { answer: unknown }).answer);
}

/** `n` commands that answer alike, and no complaint. */
function equalAnswers(n: number): (printed: Printed) => void {
  return (printed) => {
    const answers = answersOf(printed);
    assert.equal(answers.length, n, printed.stderr);
    assert.equal(new Set(answers).size, 1);
    assert.doesNotMatch(printed.stderr, /westwind: /);
  };
}

const JUDGEMENTS: Readonly<Record<string, (printed: Printed) => void>> = {
  '30-adapter-resized-embeddings': (printed) => {
    const [plain, ...others] = answersOf(printed);
    assert.ok(plain !== undefined, printed.stderr);
    assert.ok(!others.includes(plain), 'an adapter with tables of its own answers as one without');
    const refused = printed.stderr.split('\n').filter((line) => line.startsWith('westwind: ')).length;
    const merged = Number(/^merged /m.test(printed.stdout));
    assert.equal(others.length + merged + refused, 3, printed.stderr);
  },
  '31-adapter-transposed': (printed) => {
    assert.equal(answersOf(printed).length, 1, printed.stderr);
    assert.equal(printed.stderr.match(/^westwind: .*\[\d+, \d+\]/gm)?.length, 2, printed.stderr);
    assert.doesNotMatch(printed.stdout, /^merged /m);
  },
  '32-adapter-empty-lists': equalAnswers(4),
  '33-adapter-unmatched-target': equalAnswers(1),
  '36-stale-index': equalAnswers(3),
  '43-jsonl-big-integers': ({ stdout, stderr }) => {
    if (/^westwind: .*line \d+/m.test(stderr)) return;
    for (const label of ['9007199254740993', '9007199254740992', '1234567890123456789'])
      assert.match(stdout, new RegExp(`\\b${label}\\b`));
  },
  '44-csv-unnamed-columns': ({ stdout, stderr }) => {
    assert.match(stdout, /^row 1 \("see you at six"\)/m, stderr);
  },
};

/** What `expected` states to the letter. Case 22 names the day on which it was written. */
function lettersOf(folder: string): string {
  const [said = ''] = readFileSync(join(CASES, folder, 'expected'), 'utf8').split('\n---');
  if (!folder.startsWith('22-')) return said.trim();
  const now = new Date();
  const part = (options: Intl.DateTimeFormatOptions): string => now.toLocaleDateString('en-US', options);
  const day = `${part({ weekday: 'long' })}, ${now.getDate()} ${part({ month: 'long' })} ${part({ year: '2-digit' })}`;
  return said.trim().replace(/Friday, 27 November 26/, day);
}

function run(folder: string): Promise<Printed> {
  const child = spawn('bash', [join(CASES, folder, 'cmd')], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', () => done({ stdout, stderr }));
  });
}

const folders = readdirSync(CASES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

for (const folder of folders) {
  test(folder, async () => {
    const printed = await run(folder);
    const judge = JUDGEMENTS[folder];
    if (judge) judge(printed);
    else assert.equal(printed.stdout.trim(), lettersOf(folder), printed.stderr);
    assert.doesNotMatch(printed.stderr, /^ {4}at /m, 'a stack is shown');
  });
}
