import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseConfig, type ResolvedTask } from '../../../src/experiments/config/index.js';
import { overlapNotes, refuseOverlap } from '../../../src/experiments/data/overlap.js';
import { readTaskData, type TaskData } from '../../../src/experiments/data/task-data.js';
import { UserError } from '../../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-data-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const animals = Array.from({ length: 60 }, (_, i) => `text ${i},${['cats', 'dogs'][i % 2]}`);
const path = write('rows.csv', `text,label\n${animals.join('\n')}\n`);

function taskOf(yaml: string): ResolvedTask {
  return parseConfig(`model_name_or_path: m\ntasks:\n  pets: {task: classification, ${yaml}}\n`).tasks[0]!;
}

const rowsOf = (samples: TaskData['train']): number[] => samples.map(({ row }) => row);

test('another seed draws other training rows and the same test rows; a seed of their own draws others', async () => {
  const drawn = async (seed: number, more = ''): Promise<{ train: number[]; test: number[] }> => {
    const task = taskOf(`train: {path: ${path}, count: 20${more}}, test: {path: ${path}, count: 20${more}}`);
    const data = await readTaskData(task, seed);
    return { train: rowsOf(data.train), test: rowsOf(data.test) };
  };
  const [first, second, own] = [await drawn(42), await drawn(7), await drawn(7, ', seed: 42')];
  assert.deepEqual(first.train, first.test);
  assert.deepEqual(second.test, first.test);
  assert.notDeepEqual(second.train, first.train);
  assert.deepEqual(own, first);
  assert.deepEqual((await drawn(42, ', seed: 7')).test, second.train);
});

describe('a split', () => {
  test('parts the rows of one file; a fraction is of the training part', async () => {
    const task = taskOf(`train: {path: ${path}, fraction: 0.5}, split: {test: 0.2, validation: 6}`);
    const data = await readTaskData(task, 1);
    assert.deepEqual([data.train.length, data.validation.length, data.test.length], [21, 6, 12]);
    assert.equal(data.examples.length, 42);
    assert.equal(new Set(rowsOf([...data.examples, ...data.validation, ...data.test])).size, 60);
    for (const part of [data.train, data.validation, data.test])
      assert.ok(Math.abs(2 * part.filter(({ answer }) => answer === 'cats').length - part.length) <= 1);
    assert.equal(data.overlap.shared + data.overlap.shared_examples, 0);
    refuseOverlap(task, data);
    // Whatever the run's seed and the sample, the test rows are the same.
    const other = await readTaskData(taskOf(`train: {path: ${path}}, split: {test: 0.2, validation: 6}`), 2);
    assert.deepEqual(rowsOf(other.test), rowsOf(data.test));
    assert.deepEqual(task.baselines, ['zero_shot', 'few_shot']);
  });

  test('goes with train, and makes no test set beside another', () => {
    assert.throws(
      () => taskOf(`test: {path: x.csv}, labels: [a, b], split: {test: 0.2}`),
      /needs 'train', whose rows it parts/,
    );
    assert.throws(
      () => taskOf(`train: {path: x.csv}, test: {path: y.csv}, split: {test: 0.2}`),
      /cannot be given together with 'test'/,
    );
    assert.throws(() => taskOf(`train: {path: x.csv}, split: {}`), /needs 'test', 'validation' or both/);
    assert.throws(
      () => taskOf(`train: {path: x.csv}, split: {test: 1.5}`),
      /a share below 1, or a number of rows/,
    );
    assert.deepEqual(taskOf(`train: {path: x.csv}, split: {validation: 0.1}`).baselines, []);
  });
});

describe('rows in common', () => {
  const read = async (yaml: string): Promise<{ task: ResolvedTask; data: TaskData }> => {
    const task = taskOf(yaml);
    return { task, data: await readTaskData(task, 42) };
  };
  const refused = async (yaml: string, message: RegExp): Promise<void> => {
    const { task, data } = await read(yaml);
    assert.throws(
      () => refuseOverlap(task, data),
      (error) => error instanceof UserError && message.test(error.message),
    );
    refuseOverlap({ ...task, allow_overlap: true }, data);
  };

  test('of one file, of a link to it, and of a copy are refused where something is learnt from them', async () => {
    const tuned = 'baselines: []';
    await refused(
      `train: {path: ${path}}, test: {path: ${path}, count: 10}, ${tuned}`,
      /10 of 10 test rows .*split: \{test: 0.2\}/,
    );
    const link = join(folder, 'link.csv');
    symlinkSync(path, link);
    await refused(`train: {path: ${path}}, test: {path: ${link}, count: 10}, ${tuned}`, /10 of 10 test rows/);
    const copy = write(
      'copy.csv',
      `label,text\n${[...animals]
        .reverse()
        .map((row) => row.split(',').reverse().join(','))
        .join('\n')}\n`,
    );
    await refused(
      `train: {path: ${path}}, test: {path: ${copy}}, ${tuned}`,
      /60 of 60 test rows .*take other test rows/,
    );
    // Few-shot examples may be any row of the file.
    const half = `train: {path: ${path}, count: 2}, test: {path: ${path}, count: 10}`;
    await refused(`${half}, baselines: [few_shot]`, /10 of 10/);
    const { task, data } = await read(`${half}, baselines: [zero_shot]`);
    refuseOverlap({ ...task, tune: false }, data);
    const allowed = await read(`train: {path: ${path}}, test: {path: ${path}}, allow_overlap: true`);
    refuseOverlap(allowed.task, allowed.data);
    assert.ok(
      allowed.data.notices.includes(
        '60 of 60 test rows are training rows (row 1 as training row 1, row 2 as training row 2, row 3 as training row 3, …)',
      ),
    );
  });

  test('that are equal by their text are counted, and told', async () => {
    const train = write('t.csv', 'text,label\na,x\nb,y\na,y\nc,x\nc,x\n');
    const other = write('o.csv', 'text,label\na,x\nz,y\nb,x\nz,y\nw,x\n');
    const { task, data } = await read(`train: {path: ${train}}, test: {path: ${other}}`);
    assert.deepEqual(data.overlap, {
      shared: 1,
      shared_examples: 1,
      test_in_train: 2,
      validation_in_train: 0,
      train_repeats: 2,
      test_repeats: 1,
      train_near_repeats: 0,
      test_ngrams_in_train: 0,
      validation_ngrams_in_train: 0,
      rows: {
        shared: [{ row: '1', of: '1' }],
        test_in_train: [
          { row: '1', of: '1' },
          { row: '3', of: '2' },
        ],
        train_repeats: [
          { row: '3', of: '1' },
          { row: '5', of: '4' },
        ],
        test_repeats: [{ row: '4', of: '2' }],
      },
    });
    refuseOverlap(task, data);
    assert.deepEqual(data.notices, [
      '1 of 5 test rows are training rows (row 1 as training row 1)',
      '2 of 5 test rows have a text that a training row has (row 1 as training row 1, row 3 as training row 2)',
      "2 of 5 training rows repeat another's text (row 3 as row 1, row 5 as row 4)",
      "1 of 5 test rows repeat another's text (row 4 as row 2)",
    ]);
    assert.deepEqual(
      overlapNotes(
        { ...data.overlap, shared: 0, test_in_train: 0, train_repeats: 0, test_repeats: 0 },
        { test_rows: 5, train_rows: 5 },
      ),
      [],
    );
  });
});

describe('what is left out', () => {
  const words = (from: number, count: number): string =>
    Array.from({ length: count }, (_, i) => `w${from + i}`).join(' ');
  const train = write(
    'leaks.csv',
    `text,label\n${[words(0, 30), words(0, 30).toUpperCase(), words(100, 5), words(100, 5), words(200, 40), words(300, 20)].map((text) => `${text},x`).join('\n')}\nother,y\n`,
  );
  const tested = write('tested.csv', `text,label\n${words(100, 5)},x\na ${words(210, 20)} b,x\nnew,y\n`);
  const read = (more: string): Promise<TaskData> =>
    readTaskData(taskOf(`train: {path: ${train}}, test: {path: ${tested}}${more}`), 42);

  test('is counted and named where nothing is', async () => {
    const { notices, train: rows } = await read('');
    assert.equal(rows.length, 7);
    assert.deepEqual(notices, [
      '1 of 3 test rows are training rows (row 1 as training row 3)',
      '1 more of 3 test rows have 13 words in a row that a training row has (row 2 as training row 5)',
      "1 of 7 training rows repeat another's text (row 4 as row 3)",
      "1 more of 7 training rows have nearly another's text (row 2 as row 1)",
    ]);
  });

  test('are repeats, the first of which stays', async () => {
    assert.deepEqual(rowsOf((await read(', deduplicate: exact')).train), [0, 1, 2, 4, 5, 6]);
    const { train: rows, notices, overlap } = await read(', deduplicate: near');
    assert.deepEqual(rowsOf(rows), [0, 2, 4, 5, 6]);
    assert.equal(overlap.train_repeats + overlap.train_near_repeats, 0);
    assert.deepEqual(overlap.left_out, {
      deduplicate: {
        how: 'near',
        count: 2,
        rows: [
          { row: '2', of: '1' },
          { row: '4', of: '3' },
        ],
      },
    });
    assert.equal(
      notices.at(-1),
      '2 training rows are left out, because an earlier one has the text, or nearly (row 2 as row 1, row 4 as row 3)',
    );
  });

  test('stands in the rows that are tested', async () => {
    const exact = await read(', decontaminate: exact');
    assert.deepEqual(rowsOf(exact.train), [0, 1, 4, 5, 6]);
    assert.equal(exact.overlap.test_ngrams_in_train, 1);
    const {
      train: rows,
      examples,
      notices,
      overlap,
    } = await read(', deduplicate: exact, decontaminate: ngram');
    assert.deepEqual(rowsOf(rows), [0, 1, 5, 6]);
    assert.equal(examples.length, 4);
    assert.equal(overlap.test_in_train + overlap.test_ngrams_in_train, 0);
    assert.deepEqual(notices.slice(-2), [
      '1 training row is left out, because an earlier one has the text (row 4 as row 3)',
      '2 training rows are left out, because a tested row has the text, or 13 words in a row of it (row 3 as tested row 1, row 5 as tested row 2)',
    ]);
  });

  test('goes before what is drawn and parted, and lets a test set of training rows pass', async () => {
    assert.equal((await read(', deduplicate: near')).train.length, 5);
    const drawn = taskOf(`train: {path: ${train}, count: 5}, deduplicate: near, labels: [x, y]`);
    assert.equal((await readTaskData(drawn, 1)).train.length, 5);
    const parted = taskOf(
      `train: {path: ${train}, stratify: false}, split: {test: 2, stratify: false}, deduplicate: near, decontaminate: ngram`,
    );
    const data = await readTaskData(parted, 1);
    assert.deepEqual([data.train.length, data.test.length], [3, 2]);
    const same = taskOf(`train: {path: ${path}}, test: {path: ${path}, count: 10}, decontaminate: exact`);
    const clean = await readTaskData(same, 1);
    refuseOverlap(same, clean);
    assert.equal(clean.train.length, 50);
    const all = taskOf(`train: {path: ${path}}, test: {path: ${path}}, decontaminate: exact`);
    await assert.rejects(
      readTaskData(all, 1),
      /decontaminate: exact leaves no training row: each of the 60 /,
    );
  });

  test('needs rows to leave out, and rows to look for', () => {
    assert.throws(
      () => taskOf('test: {path: x.csv}, labels: [a, b], deduplicate: near'),
      /needs 'train', whose rows it leaves out/,
    );
    assert.throws(() => taskOf('train: {path: x.csv}, decontaminate: ngram'), /needs 'test' or 'split'/);
    assert.throws(() => taskOf('train: {path: x.csv}, deduplicate: maybe'), UserError);
  });
});

describe('custom tasks', () => {
  const custom = (yaml: string): ResolvedTask =>
    parseConfig(`model_name_or_path: m
tasks:
  alpaca:
    task: custom
    completion: '{output}'
    metric: exact_match
    baselines: []
    ${yaml}
`).tasks[0]!;

  test('lose no row but one without an answer', async () => {
    const rows = [
      { instruction: 'Say hi', input: '', output: ' hi\nthere ' },
      { instruction: 'Add', input: '1 2', output: '3' },
      { instruction: 'Nothing', input: 'x', output: ' \n' },
      { instruction: 'No input', output: 4 },
      { instruction: 'Null', input: null, output: 'z', note: 'n' },
    ];
    const file = write('alpaca.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
    const data = await readTaskData(
      custom(`prompt: '{instruction}|{input}|{note?}|{more?}'\n    train: {path: ${file}}`),
      1,
    );
    assert.deepEqual(
      data.train.map(({ row, values, answer }) => [
        row,
        values['input'],
        values['note'],
        values['more'],
        answer,
      ]),
      [
        [0, '', '', '', ' hi\nthere '],
        [1, '1 2', '', '', '3'],
        [3, '', '', '', '4'],
        [4, '', 'n', '', 'z'],
      ],
    );
    assert.deepEqual(data.notices, [
      'alpaca.jsonl: 1 of 5 rows left out because output is empty (row 3)',
      'alpaca.jsonl: input is empty in 3 of 4 rows, which are taken so; {input?} in the template says that it may be',
    ]);
    const quiet = custom(`prompt: '{instruction}|{input?}'\n    train: {path: ${file}}`);
    assert.equal((await readTaskData(quiet, 1)).notices.length, 1);
    await assert.rejects(
      readTaskData(custom(`prompt: '{instruction}|{inputs}'\n    train: {path: ${file}}`), 1),
      /has no column "inputs"; did you mean "input"/,
    );
  });

  test('say where an answer is made one line', async () => {
    const file = write('lines.jsonl', '{"q":"a","output":"x\\ny"}\n{"q":"b","output":"z"}\n');
    const told = async (more: string): Promise<readonly string[]> =>
      (await readTaskData(custom(`prompt: '{q}'\n    train: {path: ${file}}${more}`), 1)).notices;
    assert.deepEqual(await told(''), []);
    assert.deepEqual(await told('\n    multiline: false'), [
      '1 of 2 answers lose line breaks or the white space around them: multiline: false makes them one line',
    ]);
  });
});

test('reading ends with its signal, whatever the format', async () => {
  const files = {
    'a.csv': 'text,label\na,cats\nb,dogs\n',
    'a.tsv': 'text\tlabel\na\tcats\nb\tdogs\n',
    'a.json': '[{"text": "a", "label": "cats"}, {"text": "b", "label": "dogs"}]',
    'a.jsonl': '{"text": "a", "label": "cats"}\n{"text": "b", "label": "dogs"}\n',
  };
  for (const [name, text] of Object.entries(files)) {
    const task = taskOf(`train: {path: ${write(name, text)}}`);
    assert.equal((await readTaskData(task, 1)).train.length, 2);
    for (const reason of [undefined, new Error('time is up')]) {
      const stop = new AbortController();
      const reading = readTaskData(task, 1, stop.signal);
      stop.abort(reason);
      await assert.rejects(reading, { name: 'AbortError' });
      await assert.rejects(readTaskData(task, 1, stop.signal), { name: 'AbortError' });
    }
  }
  const hub = taskOf('train: {hub: org/data}');
  await assert.rejects(readTaskData(hub, 1, AbortSignal.abort('late')), { name: 'AbortError' });
});
