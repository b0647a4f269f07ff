import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  chooseExamples,
  createTask,
  labelContinuations,
  matchLabel,
  parseAnswer,
  promptsFor,
  taskColumns,
  toSample,
  trainingExample,
  trainingParts,
  type Sample,
  type Task,
} from '../../src/tasks/index.js';
import { parseTemplate, render } from '../../src/tasks/template.js';
import { encodeNow } from '../../src/tasks/rounds.js';
import { shorten } from '../../src/tasks/shorten.js';
import { UserError } from '../../src/util/errors.js';
import { WordTokenizer } from './word-tokenizer.js';

const LABELS = ['comp.graphics', 'rec.sport', 'rec.sport.hockey', 'sci.space'];
const topics = createTask({ task: 'classification', labels: LABELS });
const dialogues = createTask({ task: 'summarization' });
const tokenizer = new WordTokenizer();

function post(text: string, label = 'sci.space', row = 0): Sample {
  return toSample(topics, { text, label }, row);
}

function talk(dialogue: string, summary: string, row = 0): Sample {
  return toSample(dialogues, { dialogue, summary }, row);
}

/** The text of a prompt's ids: WordTokenizer loses nothing. */
function textOf(ids: readonly number[]): string {
  return tokenizer.decode(ids);
}

function prompt(
  task: Task,
  kind: 'tuned' | 'zero_shot' | 'few_shot',
  sample: Sample,
  shown: Sample[] = [],
): string {
  return textOf(promptsFor(task, kind, [sample], tokenizer, { limit: 10_000, shown }).prompts[0]!.ids);
}

test('training texts and tuned prompts are the two short formats, to the letter', () => {
  assert.deepEqual(trainingParts(topics, post('A moon.')), [
    { text: '### Sentence:A moon. ### Class:', trained: false },
    { text: 'sci.space', trained: true },
  ]);
  assert.deepEqual(trainingParts(dialogues, talk('A: hi\nB: ho', ' They meet.\r\nThey part. ')), [
    { text: '### Dialogue:A: hi\nB: ho ### Summary:', trained: false },
    { text: ' They meet.\r\nThey part. ', trained: true },
  ]);
  assert.equal(prompt(topics, 'tuned', post('A moon.')), '### Sentence:A moon. ### Class:');
  assert.equal(prompt(dialogues, 'tuned', talk('A: hi', 'x')), '### Dialogue:A: hi ### Summary:');
});

test('zero-shot prompts name the classes, delimit the text and end where the answer begins', () => {
  assert.equal(
    prompt(topics, 'zero_shot', post('A ```moon```.')),
    'Sort the text between the triple backticks into exactly one of these classes: ' +
      'comp.graphics, rec.sport, rec.sport.hockey, sci.space. Reply with the name of the class and nothing else.\n\n' +
      "### Sentence: ```A '''moon'''.```\n### Class:",
  );
  assert.equal(
    prompt(dialogues, 'zero_shot', talk('A: hi', 'x')),
    'Tell in one to three short sentences what happens in the dialogue between the triple backticks. ' +
      'Name the people who speak, and write the summary on one line and nothing else.\n\n' +
      '### Dialogue: ```A: hi```\n### Summary:',
  );
});

test('few-shot prompts show the examples before the text', () => {
  const text = prompt(topics, 'few_shot', post('Goal!'), [post('A moon.'), post('Pixels', 'comp.graphics')]);
  assert.ok(
    text.endsWith(
      '\n\n### Sentence: ```A moon.```\n### Class:sci.space\n\n### Sentence: ```Pixels```\n### Class:comp.graphics\n\n' +
        '### Sentence: ```Goal!```\n### Class:',
    ),
    text,
  );
  const summary = prompt(dialogues, 'few_shot', talk('A: hi', 'x'), [talk('C: oh', 'C wonders.')]);
  assert.ok(
    summary.endsWith(
      '### Dialogue: ```C: oh```\n### Summary:C wonders.\n\n### Dialogue: ```A: hi```\n### Summary:',
    ),
  );
});

test('examples are one a class, drawn by the seed from the shorter rows', () => {
  const rows = Array.from({ length: 200 }, (_, row) => post('x'.repeat(1 + row), LABELS[row % 4], row));
  const chosen = chooseExamples(topics, rows, 1, 1);
  assert.deepEqual(chosen.map((s) => s.answer).sort(), LABELS);
  assert.deepEqual(chooseExamples(topics, [...rows].reverse(), 1, 1), chosen);
  assert.notDeepEqual(chooseExamples(topics, rows, 1, 2), chosen);
  assert.ok(
    chosen.every((s) => s.row >= 20 && s.row < 80),
    JSON.stringify(chosen.map((s) => s.row)),
  );
  assert.equal(chooseExamples(topics, rows.slice(0, 3), 2, 1).length, 3);
  const talks = Array.from({ length: 10 }, (_, row) => talk(`A: ${row}`, 's', row));
  assert.equal(chooseExamples(dialogues, talks, 2, 1).length, 2);
});

test('a training example begins with the inference prompt’s ids, whatever the texts, and ends in one EOS', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.string({ minLength: 1, unit: fc.constantFrom('a', 'é', ' ', '\n', '\r', '#', '.') }),
      (text, summary) => {
        const dialogues = createTask({ task: 'summarization' }, [{ dialogue: text, summary }]);
        const sample = toSample(dialogues, { dialogue: text, summary }, 0);
        for (const completion_only_loss of [true, false]) {
          const { ids, labels, shortened } = trainingExample(dialogues, sample, tokenizer, {
            completion_only_loss,
          });
          const { prompts } = promptsFor(dialogues, 'tuned', [sample], tokenizer, { limit: 10_000 });
          const start = prompts[0]!.ids;
          assert.deepEqual(ids.slice(0, start.length), start);
          assert.equal(ids.at(-1), tokenizer.eosId);
          assert.equal(ids.filter((id) => id === tokenizer.eosId).length, 1);
          assert.deepEqual(
            labels,
            ids.map((id, i) => (completion_only_loss && i < start.length ? -100 : id)),
          );
          assert.equal(shortened, false);
          // What the model is trained to write is read back as the answer, to the letter.
          const { answer } = parseAnswer(dialogues, ids.slice(start.length), tokenizer, {
            reference: summary,
          });
          assert.equal(answer, summary.trim() === '' ? null : summary);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a merge across the border does not change the prompt', () => {
  // WordTokenizer makes one token of ':)'.
  const smiles = createTask({ task: 'custom', prompt: '{q} A:', completion: '{a}', metric: 'exact_match' });
  const sample = toSample(smiles, { q: 'how', a: ') yes' }, 0);
  const { ids, labels } = trainingExample(smiles, sample, tokenizer, { completion_only_loss: true });
  assert.deepEqual(textOf(ids.filter((_, i) => labels[i] === -100)), 'how A:');
  assert.deepEqual(textOf(labels.filter((id) => id >= 0)), ') yes');
});

test('a long text loses its end, never a marker or the answer', () => {
  const sample = post(Array.from({ length: 500 }, (_, i) => `w${i}`).join(' '));
  for (const max_length of [25, 26, 64, 200]) {
    const { ids, shortened } = trainingExample(topics, sample, tokenizer, {
      max_length,
      completion_only_loss: true,
    });
    assert.ok(shortened && ids.length <= max_length && ids.length >= max_length - 2, String(ids.length));
    assert.match(textOf(ids), /^### Sentence:w0 w1 w2.* ### Class:sci\.space$/);
  }
  assert.throws(
    () => trainingExample(topics, sample, tokenizer, { max_length: 8, completion_only_loss: true }),
    new UserError(
      'row 1: its prompt and answer are longer than max_length 8 tokens even without its text; ' +
        'raise training.max_length or leave the row out',
    ),
  );
});

test('a prompt that leaves no room is shortened: the examples to half of it, then the text', () => {
  const long = (row: number, label: string): Sample =>
    post(Array.from({ length: 300 }, (_, i) => `w${row}x${i}`).join(' '), label, row);
  const shown = LABELS.map((label, i) => long(i + 1, label));
  const limit = 500;
  const set = promptsFor(
    topics,
    'few_shot',
    [long(9, 'sci.space'), post('Short.', 'sci.space', 7)],
    tokenizer,
    {
      limit,
      shown,
    },
  );
  assert.deepEqual(set.examples, { shown: 4, shortened: 4, dropped: 0 });
  assert.equal(set.shortened, 1);
  assert.deepEqual(
    set.prompts.map(({ index, shortened }) => [index, shortened]),
    [
      [9, true],
      [7, false],
    ],
  );
  for (const { ids } of set.prompts) {
    assert.ok(ids.length <= limit);
    for (const label of LABELS) assert.ok(textOf(ids).includes(`\`\`\`\n### Class:${label}\n\n`));
    assert.ok(textOf(ids).endsWith('```\n### Class:'));
  }
  // The head is the same for both, so that it is run once.
  const heads = set.prompts.map(({ ids }) => textOf(ids).slice(0, textOf(ids).lastIndexOf('### Sentence')));
  assert.equal(heads[0], heads[1]);

  const fewer = promptsFor(topics, 'few_shot', [post('a')], tokenizer, { limit: 300, shown });
  assert.ok(fewer.examples.dropped > 0 && fewer.examples.shown > 0, JSON.stringify(fewer.examples));
  assert.throws(
    () => promptsFor(topics, 'few_shot', [post('a')], tokenizer, { limit: 90, shown }),
    /no room for a single example/,
  );
  assert.throws(
    () => promptsFor(topics, 'zero_shot', [post('a')], tokenizer, { limit: 30 }),
    /row 1: the zero_shot prompt has no room within 30 tokens/,
  );
});

function cutTo(text: string, limit: number, measure: (text: string) => number): string | undefined {
  return encodeNow(
    tokenizer,
    shorten(text, limit, function* (t) {
      return measure(t);
    }),
  );
}

test('shortening keeps as much as fits and does not cut a character in two', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.nat(80), (text, limit) => {
      const measure = (t: string): number => tokenizer.encode(t, { addSpecialTokens: false }).length;
      const cut = cutTo(text, limit, measure)!;
      assert.ok(text.startsWith(cut) && measure(cut) <= limit);
      assert.ok(cut === text || limit - measure(cut) <= 2, `${cut.length} of ${text.length}`);
      assert.ok(cut.isWellFormed());
    }),
  );
  assert.equal(
    cutTo('abc', 1, () => 2),
    undefined,
  );
});

test('answers are read by tokens: to the end, the line’s end or the next marker', () => {
  const read = (text: string, task = dialogues): string | null =>
    parseAnswer(task, tokenizer.encode(text, { addSpecialTokens: false }), tokenizer).answer;
  assert.equal(read(' They meet. ### Dialogue:x'), 'They meet.');
  assert.equal(read('\n\n They meet.\nThen more'), 'They meet.');
  assert.equal(read(' \n '), null);
  assert.equal(read('### Summary: no'), null);
  const ids = [
    ...tokenizer.encode('One', { addSpecialTokens: false }),
    tokenizer.eosId,
    ...tokenizer.encode('Two'),
  ];
  assert.equal(parseAnswer(dialogues, ids, tokenizer).answer, 'One');
  const poem = createTask({
    task: 'custom',
    prompt: '{q}',
    completion: '{a}',
    metric: 'rouge',
    multiline: true,
  });
  assert.equal(read('One\nTwo', poem), 'One\nTwo');
  assert.deepEqual(parseAnswer(topics, tokenizer.encode(' It is Sci Space!'), tokenizer), {
    text: 'It is Sci Space!',
    answer: null,
  });
  assert.equal(read(' Sci Space!\nmore', topics), 'sci.space');
});

test('an answer means a label when it is it but for case, spaces and punctuation, or by a unique beginning', () => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['sci.space', 'sci.space'],
    [' SCI-Space. ', 'sci.space'],
    ['scispace', 'sci.space'],
    ['rec.sport', 'rec.sport'],
    ['rec sport hockey', 'rec.sport.hockey'],
    ['rec.sport.hockey, I think', 'rec.sport.hockey'],
    ['rec.sport because', 'rec.sport'],
    ['sci', 'sci.space'],
    ['sc', null],
    ['comp.graph', 'comp.graphics'],
    ['rec', null],
    ['recs', null],
    ['', null],
    ['...', null],
    ['the class is sci.space', null],
    ['sci.spaceship', null],
    ['**sci.space**', 'sci.space'],
    ['"rec.sport"', 'rec.sport'],
  ];
  for (const [answer, label] of cases) assert.equal(matchLabel(answer, LABELS), label, answer);
  // Labels that differ in nothing but punctuation are told apart only when they are written out.
  assert.deepEqual(
    ['a-b', 'a b', 'AB', ':)'].map((answer) => matchLabel(answer, ['a-b', 'a b', ':)', ':('])),
    ['a-b', 'a b', null, ':)'],
  );
  assert.equal(matchLabel('Straße', ['straße', 'weg']), 'straße');
});

test('a number is a label as a whole, with its sign, its point and its digits', () => {
  const stars = Array.from({ length: 10 }, (_, i) => String(i + 1));
  const cases: readonly (readonly [readonly string[], readonly (readonly [string, string | null])[]])[] = [
    [
      stars,
      [
        ['10', '10'],
        ['1.', '1'],
        ['1 star', '1'],
        ['(7)', '7'],
        ['10/10', null],
        ['1.0', null],
        ['-1', null],
        ['.5', null],
        ['1,000', null],
        ['1 0', '1'],
        ['100', null],
        ['1-2', null],
        ['½', null],
        ['٣', null],
      ],
    ],
    [
      ['-1', '0', '1', '1.5', '-1.5'],
      [
        ['-1', '-1'],
        ['\u22121', '-1'],
        ['-1, since', '-1'],
        ['1', '1'],
        ['1.5!', '1.5'],
        ['-1.5', '-1.5'],
        ['-1.50', null],
        ['- 1', '1'],
        ['+1', null],
      ],
    ],
    [
      ['9007199254740992', '9007199254740993'],
      [
        ['9007199254740993', '9007199254740993'],
        ['900719925474099', null],
      ],
    ],
    [
      ['C', 'C++', 'C#', 'A+', 'A-', 'A', '.*', '(x|y)', 'covid-19', 'x^2'],
      [
        ['c++', 'C++'],
        ['C++ is', 'C++'],
        ['C#.', 'C#'],
        ['C, of course', 'C'],
        ['"A-".', 'A-'],
        ['A+', 'A+'],
        ['.*', '.*'],
        ['(x|y)', '(x|y)'],
        ['Covid 19', 'covid-19'],
        ['COVID-19', 'covid-19'],
        ['B', null],
      ],
    ],
    [
      ['sport', 'sports', 'sports news', 'May', 'may'],
      [
        ['sports', 'sports'],
        ['sport', 'sport'],
        ['Sports news today', 'sports news'],
        ['spor', null],
        ['May', 'May'],
        ['MAY', null],
      ],
    ],
  ];
  for (const [labels, answers] of cases)
    for (const [answer, label] of answers) assert.equal(matchLabel(answer, labels), label, answer);
});

test('a label is read back by itself, and no number is taken for another', () => {
  const number = fc.oneof(
    fc.integer().map(String),
    fc.double({ min: -100, max: 100, noNaN: true }).map((x) => x.toFixed(2)),
    fc.bigInt().map(String),
  );
  const text = fc.string({
    unit: fc.constantFrom('a', 'B', '1', '.', '-', '+', '#', '*', '(', ' ', 'é'),
    minLength: 1,
  });
  const label = fc
    .oneof(number, text)
    .map((l) => l.trim())
    .filter((l) => l !== '' && !l.includes('###'));
  fc.assert(
    fc.property(fc.uniqueArray(label, { minLength: 2, maxLength: 20 }), (labels) => {
      for (const one of labels) assert.equal(matchLabel(` ${one}\n`, labels), one);
    }),
  );
  fc.assert(
    fc.property(fc.uniqueArray(number, { minLength: 3, maxLength: 20 }), ([other, ...labels]) => {
      assert.equal(matchLabel(other!, labels), null);
    }),
  );
});

test('an answer ends where those of the data do', () => {
  const ask = (
    rows: readonly string[],
    multiline?: boolean,
  ): ((text: string, method?: 'zero_shot', reference?: string) => string | null) => {
    const settings = {
      task: 'custom',
      prompt: '{q}',
      completion: '{a}',
      metric: 'exact_match',
      multiline,
    } as const;
    const task = createTask(
      settings,
      rows.map((a) => ({ q: 'x', a })),
    );
    return (text, method, reference) =>
      parseAnswer(task, tokenizer.encode(text, { addSpecialTokens: false }), tokenizer, { method, reference })
        .answer;
  };
  const written = '\n One\n  Two ### Three\n';
  assert.equal(ask(['a', 'b'])(written), 'One');
  // One of them has several lines: the tuned model may, the untuned one goes on as it likes.
  assert.equal(ask(['a', 'b\nc', 'd'])(written), 'One\n  Two');
  assert.equal(ask(['a', 'b\nc', 'd'])(written, 'zero_shot'), 'One');
  assert.equal(ask(['a\nb', 'b\nc', 'd'])(written, 'zero_shot'), 'One\n  Two');
  assert.equal(ask(['a', 'b\nc', '### d'])(written), 'One\n  Two ### Three');
  assert.equal(ask(['a', 'b\nc'], false)(written), 'One');
  assert.equal(ask(['a', 'b'], true)(written, 'zero_shot'), 'One\n  Two');
  // White space around an answer counts where the right one has some.
  assert.equal(ask(['a'])('  One ', undefined, ' One'), '  One');
  assert.equal(ask(['a'])('  One ', undefined, 'One '), 'One ');
  assert.equal(ask(['a'])(' One', 'zero_shot', ' One'), ' One');
});

test('an answer keeps the space that some tokenizers drop at a text’s beginning', () => {
  const metaspace = {
    encode: (text: string) => Array.from(text, (c) => c.codePointAt(0)!),
    decode: (ids: readonly number[]) => String.fromCodePoint(...ids).replace(/^ /, ''),
    eosId: 0,
  };
  const task = createTask({ task: 'custom', prompt: '{q}:', completion: ' {a}', metric: 'exact_match' });
  const tokens = metaspace.encode('  Yes');
  const behind = ':'.codePointAt(0);
  assert.equal(parseAnswer(task, tokens, metaspace, { reference: '  Yes', behind }).answer, '  Yes');
  assert.equal(parseAnswer(task, tokens, metaspace, { reference: 'Yes', behind }).answer, 'Yes');
});

test('labels are the training data’s, sorted, or the given ones; others are refused', () => {
  const rows = ['b', 'a', ' b ', '', 'c'].map((label) => ({ text: 'x', label }));
  const task = createTask({ task: 'classification' }, rows);
  assert.deepEqual(task.labels, ['a', 'b', 'c']);
  assert.throws(
    () => toSample(task, { text: 'x', label: 'd' }, 4),
    new UserError(
      "row 5: its answer 'd' is none of the 3 labels (a, b, c); correct the row, or list every label under 'labels'",
    ),
  );
  assert.throws(
    () => createTask({ task: 'classification' }, rows.slice(0, 1)),
    /two classes at least.*only 'b'/,
  );
  assert.throws(() => createTask({ task: 'classification', labels: ['a', 'a'] }), /'a' is there twice/);
  assert.throws(() => createTask({ task: 'classification', labels: ['a', 'b\nc'] }), /cannot be read back/);
  assert.equal(
    toSample(createTask({ task: 'classification', labels: ['1', '2'] }), { text: 5, label: 2 }, 0).answer,
    '2',
  );
  assert.throws(() => toSample(task, { text: ['x'], label: 'a' }, 0), /column 'text' holds a list/);
});

test('label continuations are what training puts behind the prompt', () => {
  const tuned = labelContinuations(topics, 'tuned', tokenizer);
  assert.deepEqual(
    tuned,
    LABELS.map((label) => {
      const { ids, labels } = trainingExample(topics, post('x', label), tokenizer, {
        completion_only_loss: true,
      });
      return ids.filter((_, i) => labels[i] !== -100);
    }),
  );
  assert.deepEqual(
    labelContinuations(topics, 'few_shot', tokenizer).map((ids) => textOf(ids)),
    LABELS,
  );
});

test('custom tasks', () => {
  const settings = {
    task: 'custom',
    prompt: 'Context: {context}\nQ: {q} {{braces}}\nA:',
    completion: ' {a}',
    metric: 'accuracy',
    instruction: 'Answer.',
  } as const;
  assert.deepEqual(taskColumns(settings), {
    inputs: ['context', 'q'],
    answers: ['a'],
    filled: [['a']],
    optional: [],
  });
  const rows = ['no', 'yes'].map((a) => ({ context: 'long text', q: 'why', a }));
  const task = createTask(settings, rows);
  assert.deepEqual([task.labels, task.metric], [['no', 'yes'], 'classification']);
  assert.equal(task.wording.body({ q: 'Q', context: 'C', a: 'yes' }), 'C');
  const sample = toSample(task, rows[0]!, 0);
  assert.equal(prompt(task, 'tuned', sample), 'Context: long text\nQ: why {braces}\nA:');
  assert.equal(
    prompt(task, 'few_shot', sample, [toSample(task, rows[1]!, 1)]),
    'Answer.\n\nContext: long text\nQ: why {braces}\nA:yes\n\nContext: long text\nQ: why {braces}\nA:',
  );
  assert.throws(() => taskColumns({ ...settings, prompt: 'nothing' }), /prompt: it names no column/);
  // An optional column is one that is nowhere needed; where all of an answer is optional, something of it must be there.
  assert.deepEqual(taskColumns({ ...settings, prompt: '{context?} {q}', completion: '{q?}{a?}{b ?}' }), {
    inputs: ['context', 'q'],
    answers: ['q', 'a', 'b'],
    filled: [['q']],
    optional: ['context', 'a', 'b'],
  });
  assert.deepEqual(taskColumns({ ...settings, completion: '{a?}{b?}' }).filled, [['a', 'b']]);
});

test('templates', () => {
  const template = parseTemplate('{a}{{x}} { b }{{{a}}}', 'here');
  assert.deepEqual(template.columns, ['a', 'b', 'a']);
  assert.deepEqual(parseTemplate('{a?} {b} {b?}', 'here').optional, ['a']);
  assert.equal(render(template, { a: '{b}', b: '2' }), '{b}{x} 2{{b}}');
  for (const wrong of ['{', '}', 'a {b', 'b} a', '{}', '{a{b}}', '{ }', '{?}'])
    assert.throws(() => parseTemplate(wrong, 'here'), UserError, wrong);
});
