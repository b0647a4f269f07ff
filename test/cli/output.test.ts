/** What stands on a screen: tables and bars fit it, and nothing that files hold steers it. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createProgress, barLine } from '../../src/cli/progress.js';
import { tableText } from '../../src/cli/table.js';
import type { RunEvent } from '../../src/experiments/run/events.js';
import { columnsOf } from '../../src/util/visible.js';
import { temporaryFolder, westwind } from './support.js';
import { writeRun } from '../experiments/report/fixtures.js';

describe('a table on a screen', () => {
  const cell = fc.oneof(
    fc.constantFrom(
      '',
      '81.25 [76.88, 85.31]',
      '漢字漢字',
      'runs/a/very/long/path/without/an/end',
      'two words',
      '\u001b[31m',
      'a\nb',
    ),
    fc.string({ maxLength: 30 }),
  );

  test('is as wide as that at most, and holds every word', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 10 })
          .chain((n) =>
            fc.array(fc.array(cell, { minLength: n, maxLength: n }), { minLength: 1, maxLength: 5 }),
          ),
        fc.integer({ min: 40, max: 120 }),
        (rows, columns) => {
          const text = tableText(rows[0]!, rows.slice(1), columns);
          for (const line of text.split('\n')) assert.ok(columnsOf(line) <= columns, line);
          const letters = (of: string): string =>
            Array.from(of.replace(/[\s|\-:]/g, ''))
              .sort()
              .join('');
          // The first column may be there more than once.
          const there = letters(text);
          for (const letter of new Set(
            letters(
              rows
                .flat()
                .join('')
                .replace(/[\u0000-\u001f]/g, ''),
            ),
          ))
            assert.ok(there.includes(letter), letter);
        },
      ),
    );
  });

  test('is Markdown where it has room', () => {
    assert.equal(tableText(['a', 'b'], [['x', '1']], 80), '| a  |  b |\n| -- | -: |\n| x  |  1 |');
  });

  test('keeps an interval whole, and goes on below where columns have no room', () => {
    const figure = '81.25 [76.88, 85.31]';
    const heads = ['dialogues', 'ROUGE-1', 'ROUGE-2', 'ROUGE-L', 'ROUGE-Lsum', 'no answer', 'time'];
    const text = tableText(heads, [['zero-shot', figure, figure, figure, figure, '0', '1.0 s']], 80);
    assert.equal(text.match(/\[76\.88, 85\.31\]/g)!.length, 4);
    assert.match(text, /^dialogues +no answer +time$/m);
  });
});

describe('a bar', () => {
  test('fits the screen, and the time left stays in sight', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 90 }),
        fc.integer({ min: 60, max: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (title, columns, share) => {
          const rest = ['1h02m left', 'loss 1.234', '123456 tok/s'];
          const line = barLine({ title, count: '12345/12345', rest }, share, columns);
          assert.ok(columnsOf(line) < columns, line);
          assert.match(line, /1h02m left/);
          assert.match(line, /12345\/12345/);
        },
      ),
    );
  });
});

test('a notice is told once, however many runs of a study it is true of', () => {
  const lines: string[] = [];
  const out = { isTTY: false, write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream;
  const progress = createProgress({ name: (run) => `run ${run}`, every: () => 1, count: 3 }, out);
  for (const run of [0, 1, 2])
    progress.show({
      type: 'notice',
      run,
      task: 'pets',
      text: '3 rows left\nout \u001b[2J',
    } satisfies RunEvent);
  progress.show({ type: 'notice', text: 'no GPU' });
  assert.deepEqual(lines, ['pets: 3 rows left\\nout \\x1b[2J\n', 'no GPU\n']);
});

test('texts that are encoded have a line for every tenth, and each task its own', () => {
  const lines: string[] = [];
  const out = { isTTY: false, write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream;
  const progress = createProgress({ name: (run) => `run ${run}`, every: () => 1, count: 1 }, out);
  for (const task of ['chats', 'posts'])
    for (let done = 300; done <= 1000; done += 10)
      progress.show({ type: 'encoding', task, done, total: 1000 } satisfies RunEvent);
  const wanted = (task: string): string[] =>
    [300, 400, 500, 600, 700, 800, 900, 1000].map((done) => `${task}: encoding ${done}/1000\n`);
  assert.deepEqual(lines, [...wanted('chats'), ...wanted('posts')]);
});

const HOSTILE = 'x\u001b[2J\u009b\u202ey';
/** Controls that reach a terminal. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe('names and texts from files', () => {
  const root = temporaryFolder();
  const runs = join(root, 'runs');
  mkdirSync(runs);
  for (const [id, right] of [
    ['a1', 3],
    ['b2', 9],
  ] as const)
    writeRun(runs, {
      id,
      right,
      model: `models/${HOSTILE}`,
      labels: [`cats ${HOSTILE}`, `dogs\n${HOSTILE}`],
    });
  writeRun(runs, { id: 'c3', failure: `no\nmemory ${HOSTILE}` });
  mkdirSync(join(runs, `d4${HOSTILE}`));
  writeFileSync(join(runs, `d4${HOSTILE}`, 'manifest.json'), `{${HOSTILE}`);
  const answers = join(root, 'answers.csv');
  writeFileSync(answers, `reference,answer\n"${HOSTILE}","${HOSTILE}"\n"dogs","\u001b]0;owned\u0007"\n`);
  const calls: string[][] = [
    ['ls', runs],
    ['ls', runs, '--json'],
    ['compare', join(runs, 'a1'), join(runs, 'b2')],
    ['compare', join(runs, 'a1'), join(runs, 'b2'), '--json'],
    ['report', runs, '-o', join(root, `rep${HOSTILE}`)],
    ['eval', answers, '--metric', 'classification', '--confusion'],
    ['eval', answers, '--metric', 'classification', '--json'],
    ['eval', answers, '--metric', 'rouge', '--reference-column', HOSTILE],
    ['run', join(root, `none${HOSTILE}.yaml`)],
    ['ls', `none${HOSTILE}`],
    ['generate', `none${HOSTILE}`, '-p', 'x'],
    [`verb${HOSTILE}`],
  ];
  for (const args of calls)
    test(`are shown with escapes by ${args.map((arg) => arg.replace(root, '').replace(HOSTILE, '')).join(' ')}`, async () => {
      {
        const env = { COLUMNS: '80' };
        const { stdout, stderr, code } = await westwind(args, { env });
        assert.notEqual(code, 70, stderr);
        assert.doesNotMatch(stdout + stderr, CONTROLS);

        for (const line of stdout.split('\n'))
          if (args[0] === 'ls' && !args.includes('--json')) assert.ok(columnsOf(line) <= 80, line);
      }
    });

  test('an unreadable run is listed as failed, and can be removed', async () => {
    const bad = join(runs, `d4${HOSTILE}`);
    const { stdout } = await westwind(['ls', runs]);
    assert.match(stdout, /\| d4x\\x1b\[2J\\x9b\\u202ey +\| +failed \|/);
    assert.equal((await westwind(['rm', bad, '--yes'])).code, 0);
    assert.equal(existsSync(bad), false);
  });
});

describe('output that cannot be written', { skip: !existsSync('/dev/full') }, () => {
  const runs = join(temporaryFolder(), 'runs');
  mkdirSync(runs);
  writeRun(runs, { id: 'a1' });
  for (const args of [
    ['ls', runs],
    ['schema'],
    ['init', 'custom', '-o', '-'],
    ['--help'],
    ['help', 'run'],
    ['--version'],
    ['report', runs, '-o', join(runs, '../rep')],
  ]) {
    test(`to a full disk ends ${args[0]} in one line`, async () => {
      const { code, stderr } = await westwind(args, { shell: 'exec >/dev/full' });
      assert.equal(code, 2);
      assert.match(stderr, /^westwind: cannot write the output: .*\n$/);
    });
  }

  test('to a pipe that is closed ends quietly, as by SIGPIPE', () => {
    const main = join(import.meta.dirname, '../../src/cli/main.ts');
    const script = `{ sleep 2; "${process.execPath}" --import "${import.meta.resolve('tsx')}" "${main}" schema; echo "code $?" >&3; } | true`;
    const told = execFileSync('/bin/bash', ['-c', `exec 3>&1; ${script}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.equal(told, 'code 141\n');
  });
});
