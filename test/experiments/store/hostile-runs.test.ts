/** Runs' folders from anyone: what is no regular file is not read, what is of another shape is told in a line. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeReport, readTestTexts } from '../../../src/experiments/report/index.js';
import { TASK_FILES } from '../../../src/experiments/store/layout.js';
import { readPredictions, readRun, readSteps } from '../../../src/experiments/store/stored.js';
import { savedResult } from '../../../src/experiments/run/unit.js';
import { UserError } from '../../../src/util/errors.js';
import { writeFault, readFault, systemFault } from '../../../src/util/faults.js';
import { readBytes, readTableBytes, readText } from '../../../src/util/read.js';
import { MAX_NESTING, parseJson } from '../../../src/util/json.js';
import { writeRun } from '../report/fixtures.js';

const root = mkdtempSync(join(tmpdir(), 'westwind-hostile-'));
after(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const EVALUATION = { step: 1, epoch: 0.5, loss: 2, best: true, seconds: 1, time: 0 };
const RUNG = { evaluation: 1, step: 1, metric: 'loss', figure: 2, tried: 1, cutoff: 2, stop: false };
const fresh = (): string => {
  const folder = writeRun(mkdtempSync(join(root, 'runs-')), { id: `r${made++}` });
  writeFileSync(join(folder, 'pets/eval.jsonl'), `${JSON.stringify(EVALUATION)}\n`);
  writeFileSync(join(folder, 'pets/rungs.jsonl'), `${JSON.stringify(RUNG)}\n`);
  return folder;
};

/** Everything of a run that is read. */
function readAll(folder: string): void {
  const run = readRun(folder);
  for (const result of run.results) {
    readSteps(run, result.task);
    TASK_FILES.evaluations.read(join(folder, result.task));
    TASK_FILES.rungs.read(join(folder, result.task));
    savedResult(join(folder, result.task));
    for (const { method } of result.methods) readPredictions(run, result, method, 'generate');
  }
}

function assertLine(work: () => unknown, ...parts: readonly string[]): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    for (const part of parts) assert.ok(error.message.includes(part), `${error.message} without ${part}`);
    return true;
  });
}

const FILES = [
  'manifest.json',
  'results.json',
  'pets/result.json',
  'pets/predictions-tuned.jsonl',
  'pets/train.jsonl',
  'pets/eval.jsonl',
  'pets/rungs.jsonl',
];

describe("a run's folder", () => {
  it('is read where it is whole', () => readAll(fresh()));

  it('with a pipe, a device, a folder, a circle of links or a terabyte in the place of a file', () => {
    for (const file of FILES) {
      const name = file.split('/').at(-1)!;
      const put = (work: (path: string) => void, ...parts: readonly string[]): void => {
        const folder = fresh();
        rmSync(join(folder, file));
        work(join(folder, file));
        assertLine(() => readAll(folder), name, ...parts);
      };
      put((path) => execFileSync('mkfifo', [path]), 'it is a pipe, not a file');
      put((path) => symlinkSync('/dev/zero', path), 'it is a device, not a file');
      put((path) => symlinkSync(root, path), 'it is a folder, not a file');
      put((path) => {
        writeFileSync(path, '');
        truncateSync(path, 2 ** 40);
      }, 'more than the');
    }
  });

  it('with other values than its files have', () => {
    for (const text of [
      'null',
      '{}',
      '[]',
      '3',
      '"x"',
      '[null]',
      '{"toString": 1}',
      '['.repeat(100_000),
      'x',
    ])
      for (const file of FILES) {
        const folder = fresh();
        writeFileSync(join(folder, file), `${text}\n`);
        const name = file.split('/').at(-1)!;
        // A list without results is a run without them.
        if (file === 'results.json' && text === '[]') readAll(folder);
        else assertLine(() => readAll(folder), name, 'damaged');
      }
  });

  it('names the field that is wrong', () => {
    const folder = fresh();
    const path = join(folder, 'manifest.json');
    const manifest = readFileSync(path, 'utf8');
    for (const [from, to, field] of [
      ['"seed": 1', '"seed": "1"', 'config.seed'],
      ['"name": "pets"', '"name": "../pets"', 'config.tasks.0.name'],
      ['"r": 16', '"r": null', 'config.tasks.0.lora'],
    ] as const) {
      writeFileSync(path, manifest.replace(from, to));
      assertLine(() => readAll(folder), path, field);
    }
  });

  it('whose test file is a pipe, a device or a terabyte has a report without its texts', async () => {
    for (const test of ['fifo', '/dev/zero', 'large', '.']) {
      const folder = fresh();
      const path = test.startsWith('/') ? test : join(folder, test);
      if (test === 'fifo') execFileSync('mkfifo', [path]);
      if (test === 'large') {
        writeFileSync(path, '');
        truncateSync(path, 2 ** 40);
      }
      const manifest = join(folder, 'manifest.json');
      writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('data/pets/test.csv', path));
      const runs = [readRun(folder)];
      assert.match(makeReport(runs, { texts: await readTestTexts(runs) }).markdown, /pets/);
    }
  });
});

describe('reading files', () => {
  it('takes what the shell hands over for a table, and no other pipe', async () => {
    const pipe = join(root, 'pipe');
    execFileSync('mkfifo', [pipe]);
    assertLine(() => readText(pipe), 'pipe');
    await assert.rejects(readTableBytes(pipe, 100), /it is a pipe, not a file/);
    await assert.rejects(readTableBytes('/dev/zero', 100), /it is a device, not a file/);
    const script = `import { readTableBytes } from ${JSON.stringify(join(import.meta.dirname, '../../../src/util/read.ts'))};
      readTableBytes(process.argv[1], 10).then((bytes) => console.log(String(bytes)), (e) => console.log(e.message));`;
    const piped = (producer: string): string =>
      execFileSync(
        'bash',
        [
          '-c',
          `"$0" --import "$1" --input-type=module -e "$2" <(${producer})`,
          process.execPath,
          import.meta.resolve('tsx'),
          script,
        ],
        {
          encoding: 'utf8',
        },
      );
    assert.equal(piped('printf abc'), 'abc\n');
    assert.match(piped('cat /dev/zero'), /gives more than the 10 bytes/);
  });

  it('tells what is nested too deep to be walked', () => {
    const nested = (depth: number): string => `${'['.repeat(depth)}"]]{{"${']'.repeat(depth)}`;
    parseJson(nested(MAX_NESTING), 'it');
    assertLine(() => parseJson(nested(MAX_NESTING + 1), 'it'), 'nested more than');
    assertLine(() => parseJson('{"a":'.repeat(1e6), 'it'), 'nested more than');
  });

  it('tells what the system refuses, whoever meets it', () => {
    for (const code of [
      'ENOSPC',
      'EACCES',
      'EISDIR',
      'ENOTDIR',
      'ELOOP',
      'ENAMETOOLONG',
      'EMFILE',
      'ENFILE',
      'EIO',
    ]) {
      const error = Object.assign(new Error(code), { code, syscall: 'open', path: 'some/file' });
      for (const told of [readFault('a', error), writeFault('a', error), systemFault(error)])
        assert.ok(told instanceof UserError && !told.message.includes('\n'), code);
      assert.match((systemFault(error) as Error).message, /some\/file/);
    }
    const own = new TypeError('x is undefined');
    assert.equal(systemFault(own), own);
    assertLine(() => readBytes(join(root, 'x'.repeat(300))), 'the name is too long');
    assertLine(() => readBytes(join(root, 'pipe', 'x')), 'there is no such file');
    symlinkSync('circle', join(root, 'circle'));
    assertLine(() => readBytes(join(root, 'circle')), 'symbolic links');
  });
});
