/** Chats as training texts, prompts and answers, by the tokenizer of the example's model. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  answerEnd,
  createTask,
  parseAnswer,
  promptsFor,
  promptsLater,
  taskRows,
  toSample,
  trainingExample,
  trainingExamples,
  type ChatSettings,
  type Sample,
  type Task,
  type TrainingExample,
} from '../../src/tasks/index.js';
import type { Row } from '../../src/data/index.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { atOnce } from '../../src/util/turns.js';
import { WordTokenizer } from './word-tokenizer.js';

const tokenizer = Tokenizer.load('examples/model');
const TEMPLATE = readFileSync('examples/chat.jinja', 'utf8');
const ALL = { completion_only_loss: true };

const settings = (given: Partial<ChatSettings> = {}): ChatSettings => ({
  task: 'chat',
  chat_template: TEMPLATE,
  ...given,
});

function samplesOf(rows: readonly Row[], of = settings()): [Task, Sample[]] {
  const names = Object.fromEntries(
    ['messages', 'tools', 'prompt', 'completion', 'conversations'].map((c) => [c, c]),
  );
  const { rows: cells, indices } = atOnce(taskRows(of).select(rows, names, 'f'));
  const task = createTask(of, cells, []);
  return [task, Array.from(cells, (row, i) => toSample(task, row, indices[i]!))];
}

type Turn = readonly [role: string, content: string, more?: Record<string, unknown>];

function chat(...turns: readonly Turn[]): Row {
  return { messages: turns.map(([role, content, more]) => ({ role, content, ...more })) };
}

/** The runs of trained tokens as text, without what a tokenizer puts before a text's first word. */
function trained({ ids, labels }: TrainingExample): string[] {
  const runs: number[][] = [];
  for (const [i, id] of ids.entries()) {
    if (labels[i] === -100) continue;
    assert.equal(labels[i], id);
    if (i > 0 && labels[i - 1] !== -100) runs.at(-1)!.push(id);
    else runs.push([id]);
  }
  return runs.map((run) => tokenizer.decode(run, { skipSpecialTokens: false }).trim());
}

const textOf = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: false });

const TALK = chat(
  ['system', 'Be brief.'],
  ['user', 'When is it?'],
  ['assistant', 'At 3.'],
  ['user', 'And where?'],
  ['assistant', 'In town.'],
);

test('what is trained on is what the assistant says, its end included: all turns, the last, or everything', () => {
  const example = (of: ChatSettings, row = TALK, options = ALL): TrainingExample => {
    const [task, [sample]] = samplesOf([row], of);
    return trainingExample(task, sample!, tokenizer, options);
  };
  assert.deepEqual(trained(example(settings())), ['At 3.</s>', 'In town.</s>']);
  assert.deepEqual(trained(example(settings({ train_on: 'last' }))), ['In town.</s>']);
  const everything = example(settings(), TALK, { completion_only_loss: false });
  assert.deepEqual(everything.labels, everything.ids);
  const messages = (TALK['messages'] as object[]).map((m, i) => (i === 2 ? { ...m, weight: 0 } : m));
  assert.deepEqual(trained(example(settings(), { messages })), ['In town.</s>']);
  const withoutLast = (TALK['messages'] as object[]).map((m, i) => (i === 4 ? { ...m, weight: 0 } : m));
  assert.deepEqual(trained(example(settings({ train_on: 'last' }), { messages: withoutLast })), [
    'At 3.</s>',
  ]);
  assert.equal(
    trained(example(settings(), { messages }, { completion_only_loss: false }))
      .join('')
      .includes('At 3'),
    false,
  );
  // By ChatML, and what a prompt's assistant said is given.
  const chatml = settings({ chat_template: 'chatml' });
  assert.deepEqual(trained(example(chatml)), ['At 3.<|im_end|>', 'In town.<|im_end|>']);
  assert.deepEqual(
    trained(example(chatml, { prompt: (TALK['messages'] as object[]).slice(0, 4), completion: 'In town.' })),
    ['In town.<|im_end|>'],
  );
});

test('a model without a template gets ChatML, and a person is told so', () => {
  const none = settings({ chat_template: undefined });
  const [task, [sample]] = samplesOf([TALK], none);
  const [named] = samplesOf([TALK], settings({ chat_template: 'chatml' }));
  assert.deepEqual(
    trainingExample(task, sample!, tokenizer, ALL),
    trainingExample(named, sample!, tokenizer, ALL),
  );
  assert.match(task.wording.notices!(tokenizer)[0]!, /has no chat template, .* ChatML/);
  assert.deepEqual(named.wording.notices!(tokenizer), []);
});

const word = fc.constantFrom(
  'at',
  'the',
  'station',
  'Rosa',
  'noon',
  '7',
  '"x"',
  'it is',
  'a  b',
  '###',
  'é',
  '!',
);
const content = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join(' '));
const exchanges = fc.array(fc.tuple(content, content), { minLength: 1, maxLength: 5 });
const rowOf = (pairs: readonly (readonly [string, string])[], system?: string): Row =>
  chat(
    ...(system === undefined ? [] : [['system', system] as const]),
    ...pairs.flatMap(([user, assistant]): Turn[] => [
      ['user', user],
      ['assistant', assistant],
    ]),
  );

test('a prompt is how the training text begins, and the rest of it is read back as the answer', async () => {
  await fc.assert(
    fc.asyncProperty(exchanges, fc.option(content, { nil: undefined }), async (pairs, system) => {
      const [task, samples] = samplesOf([rowOf(pairs, system)]);
      const example = trainingExample(task, samples[0]!, tokenizer, ALL);
      const { prompts } = promptsFor(task, 'tuned', samples, tokenizer, { limit: 2000 });
      const { ids } = prompts[0]!;
      assert.deepEqual(example.ids.slice(0, ids.length), ids);
      const { answer } = parseAnswer(task, example.ids.slice(ids.length), tokenizer, {
        behind: ids.at(-1),
        reference: samples[0]!.answer,
      });
      assert.equal(answer, samples[0]!.answer);
      assert.equal(answer, pairs.at(-1)![1].trim());
      assert.deepEqual(await trainingExamples(task, samples, tokenizer, ALL), [example]);
      assert.deepEqual(
        (await promptsLater(task, 'zero_shot', samples, tokenizer, { limit: 2000 })).prompts,
        prompts,
      );
    }),
    { numRuns: 40 },
  );
});

test('the same conversation has the same ids whatever form it comes in', async () => {
  await fc.assert(
    fc.asyncProperty(exchanges, async (pairs) => {
      const { messages } = rowOf(pairs) as { messages: { role: string; content: string }[] };
      const rows: Row[] = [
        { messages },
        { messages: JSON.stringify(messages) },
        {
          conversations: messages.map(({ role, content }) => ({
            from: role === 'user' ? 'human' : 'gpt',
            value: content,
          })),
        },
        { prompt: messages.slice(0, -1), completion: messages.slice(-1) },
      ];
      const last = settings({ train_on: 'last' });
      const ids = await Promise.all(
        rows.map(async (row) => {
          const [task, samples] = samplesOf([row], last);
          return trainingExamples(task, samples, tokenizer, ALL);
        }),
      );
      for (const other of ids) assert.deepEqual(other, ids[0]);
    }),
    { numRuns: 25 },
  );
});

test('one that is too long loses its earliest turns, whole, and keeps its system message; else it is left out', async () => {
  const long = rowOf(
    Array.from({ length: 8 }, (_, i) => [`question ${i} at the station`, `answer ${i} at noon`] as const),
    'Be brief.',
  );
  const [task, [sample, other]] = samplesOf([long, rowOf([['a', 'word '.repeat(200)]])]);
  const whole = trainingExample(task, sample!, tokenizer, ALL);
  for (const max_length of [whole.ids.length, whole.ids.length - 1, 100, 60]) {
    const example = trainingExample(task, sample!, tokenizer, { ...ALL, max_length });
    assert.ok(example.ids.length <= max_length);
    assert.equal(example.shortened, max_length < whole.ids.length);
    const kept = trained(example);
    assert.deepEqual(kept, trained(whole).slice(-kept.length));
    assert.match(
      textOf(example.ids),
      /### System: Be brief\.\n### User: question (\d) .*\n### Assistant: answer \1 /,
    );
    // One turn more would not have had room.
    const turn = whole.ids.length / 8;
    assert.ok(!example.shortened || max_length - example.ids.length < turn + 2);
  }
  const few = { ...ALL, max_length: 60 };
  const message =
    /^row 2: what is trained on has no room within max_length 60 tokens even without its earlier turns; raise/;
  assert.throws(() => trainingExample(task, other!, tokenizer, few), { name: 'UserError', message });
  const examples = await trainingExamples(task, [sample!, other!], tokenizer, few);
  assert.deepEqual(
    examples.map(({ row }) => row),
    [0],
  );
  // What is trained on may be what has no room.
  const messages = (long['messages'] as object[]).map((m, i) => (i > 2 ? { ...m, weight: 0 } : m));
  const [early, samples] = samplesOf([{ messages }]);
  assert.throws(() => trainingExample(early, samples[0]!, tokenizer, few), {
    message: /^row 1: what is trained on/,
  });
  const cut = promptsFor(task, 'tuned', [sample!], tokenizer, { limit: 60 });
  assert.equal(cut.shortened, 1);
  assert.ok(cut.prompts[0]!.ids.length <= 60);
  assert.ok(textOf(cut.prompts[0]!.ids).endsWith('### User: question 7 at the station\n### Assistant:'));
  assert.throws(() => promptsFor(task, 'tuned', [sample!], tokenizer, { limit: 10 }), {
    message: /^row 1: the prompt has no room within 10 tokens even without its earlier turns/,
  });
});

test('the reference is the last thing that the assistant says, without what it thinks, or what it calls', () => {
  const call = { function: { name: 'find', arguments: { item: 'tent', n: [1, true, null] } } };
  const written = { function: { name: 'find', arguments: '{"item":"tent"}' } };
  const answers = samplesOf([
    chat(['user', 'a'], ['assistant', ' b '], ['user', 'c']),
    chat(['user', '3+3?'], ['assistant', '<think>\nsum\n</think>\n\n6']),
    chat(['user', 'a'], ['assistant', '', { tool_calls: [call, written] }]),
  ])[1].map(({ answer }) => answer);
  assert.deepEqual(answers, [
    'b',
    '6',
    '{"name": "find", "arguments": {"item": "tent", "n": [1, true, null]}}\n{"name": "find", "arguments": {"item":"tent"}}',
  ]);
});

test('an answer ends with its turn, as a token or as text, and counts without what was thought', () => {
  const [own] = samplesOf([TALK]);
  assert.deepEqual(answerEnd(own, tokenizer).stopTokens, [tokenizer.eosId]);
  const [chatml] = samplesOf([TALK], settings({ chat_template: 'chatml' }));
  const { stopTokens, endsWith } = answerEnd(chatml, tokenizer);
  assert.deepEqual(stopTokens, []);
  const ids = tokenizer.encode('It is 3.<|im_end|>\nAnd more', { addSpecialTokens: false });
  const ended = ids.findIndex((_, i) => endsWith!(ids.slice(0, i + 1))) + 1;
  assert.equal(tokenizer.decode(ids.slice(0, ended)).trim(), 'It is 3.<|im_end|>');
  assert.deepEqual(parseAnswer(chatml, ids, tokenizer), { text: 'It is 3.', answer: 'It is 3.' });
  const thought = tokenizer.encode('<think>\nhm\n</think>\n\nIt is 3.<|im_end|>', {
    addSpecialTokens: false,
  });
  const parsed = parseAnswer(chatml, thought, tokenizer);
  assert.equal(parsed.answer, 'It is 3.');
  assert.match(parsed.text, /hm/);
  const nothing = tokenizer.encode('<|im_end|>', { addSpecialTokens: false });
  assert.equal(parseAnswer(chatml, nothing, tokenizer).answer, null);
});

test('a row that the template refuses is named, and so is a template that is none', () => {
  const refusing = settings({
    chat_template:
      "{% for m in messages %}{{ raise_exception('no ' + m.content) if m.content == 'b' else m.content }}{% endfor %}",
  });
  const [task, samples] = samplesOf([rowOf([['a', 'x']]), rowOf([['b', 'x']])], refusing);
  assert.throws(() => trainingExample(task, samples[1]!, tokenizer, ALL), {
    name: 'UserError',
    message: /^row 2: .*no b/,
  });
  assert.throws(() => createTask(settings({ chat_template: '{% for %}' })), {
    name: 'UserError',
    message: /^chat_template.*cannot be parsed/,
  });
  const [plain, [sample]] = samplesOf([TALK]);
  assert.throws(() => trainingExample(plain, sample!, new WordTokenizer(), ALL), {
    message: /are for models without an encoder/,
  });
});

test('conversations are compared by what is said, and told apart by system messages and tools', () => {
  const [task, samples] = samplesOf([
    TALK,
    chat(['user', 'When is it?'], ['assistant', 'At 3.'], ['user', 'And where?'], ['assistant', 'In town.']),
    { ...TALK, tools: [{ function: { name: 'f' } }] },
    TALK,
  ]);
  const texts = samples.map(({ values }) => task.wording.compared(values));
  assert.equal(texts[1], 'When is it?\nAt 3.\nAnd where?');
  assert.equal(new Set(texts).size, 3);
  assert.equal(texts[0], texts[3]);
  assert.doesNotMatch(texts[0]!, /brief/);
  assert.equal(task.wording.body(samples[0]!.values), 'When is it? … And where?');
});
