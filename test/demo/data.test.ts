/** The demonstration data: reproduced by its scripts, clean, learnable, and not too easy. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { dataFiles, testTexts } from '../../scripts/demo/data-files.js';
import { Draws } from '../../scripts/demo/draws.js';
import { expand } from '../../scripts/demo/grammar.js';
import { groups, pretrainCorpus } from '../../scripts/demo/pretrain-corpus.js';
import { selectChats, type Conversation } from '../../src/data/chat/index.js';
import { readTable } from '../../src/data/index.js';
import { rouge } from '../../src/eval/index.js';
import { naiveBayesAccuracy, wordsOf, type Labelled } from './naive-bayes.js';

interface Chat {
  readonly dialogue: string;
  readonly summary: string;
}

const posts = async (split: string): Promise<Labelled[]> =>
  (await readTable(`examples/data/posts/${split}.csv`)) as unknown as Labelled[];
const chats = async (split: string): Promise<Chat[]> =>
  (await readTable(`examples/data/dialogues/${split}.json`)) as unknown as Chat[];

test('the scripts write the files in the repository byte for byte', () => {
  for (const [name, text] of dataFiles()) {
    assert.equal(readFileSync(`examples/data/${name}`, 'utf8'), text, name);
  }
});

test('no text stands twice, in a split or in both', async () => {
  const texts = [
    ...(await posts('train')).map(({ text }) => text),
    ...(await posts('test')).map(({ text }) => text),
    ...(await chats('train')).map(({ dialogue }) => dialogue),
    ...(await chats('test')).map(({ dialogue }) => dialogue),
  ];
  assert.equal(texts.length, 1800 + 320 + 1400 + 200);
  assert.equal(new Set(texts).size, texts.length);
});

test('labels are nearly even, and texts have the length of a post or a chat', async () => {
  const train = await posts('train');
  const counts = new Map<string, number>();
  for (const { label } of train) counts.set(label, (counts.get(label) ?? 0) + 1);
  assert.equal(counts.size, 20);
  for (const [label, count] of counts) assert.ok(count > 60 && count < 125, `${label}: ${count}`);
  const words = (texts: readonly string[]): number =>
    texts.reduce((sum, text) => sum + wordsOf(text).length, 0) / texts.length;
  const rows = await chats('train');
  const found = [
    words(train.map(({ text }) => text)),
    words(rows.map(({ dialogue }) => dialogue)),
    words(rows.map(({ summary }) => summary)),
  ];
  const [post, dialogue, summary] = found as [number, number, number];
  assert.ok(
    post > 25 && post < 60 && dialogue > 35 && dialogue < 80 && summary < dialogue / 2,
    found.join(' '),
  );
});

test('more posts make a better classifier, and none is perfect', async () => {
  const [train, held] = [await posts('train'), await posts('test')];
  const accuracies = [0.05, 0.25, 1].map((share) =>
    naiveBayesAccuracy(train.slice(0, share * train.length), held),
  );
  const [few, some, all] = accuracies as [number, number, number];
  const found = accuracies.map((accuracy) => accuracy.toFixed(3)).join(' ');
  assert.ok(few > 0.15 && few < 0.5, found);
  assert.ok(some > few + 0.15, found);
  assert.ok(all > some + 0.05 && all > 0.75 && all < 0.97, found);
});

test("a summary's names, days, hours, places and things stand in its dialogue", async () => {
  const rows = [...(await chats('train')), ...(await chats('test'))];
  const shares = rows.map(({ dialogue, summary }) => {
    const said = new Set(wordsOf(dialogue));
    // Slips of the finger and abbreviations hide some.
    const facts = (summary.match(/\b[A-Z][a-z]+|\b\d+/g) ?? []).filter((word) => !/^(The|They)$/.test(word));
    return facts.filter((word) => said.has(word.toLowerCase())).length / facts.length;
  });
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  assert.ok(mean > 0.97, String(mean));
});

test('neither the whole dialogue nor its first turns are a good summary', async () => {
  const rows = await chats('test');
  const mean = (answer: (row: Chat) => string): number =>
    rows.reduce((sum, row) => sum + rouge(answer(row), row.summary).rouge1.fmeasure, 0) / rows.length;
  const [whole, lead] = [
    mean(({ dialogue }) => dialogue),
    mean(({ dialogue }) => dialogue.split('\n').slice(0, 3).join(' ')),
  ];
  assert.ok(whole < 0.45 && lead < 0.45, `${whole} ${lead}`);
});

test('the chats are of several turns, some with a system message, some with tools, and answers are told by what stands before', async () => {
  const [train, held] = await Promise.all(
    ['train', 'test'].map(async (split) => {
      const table = await readTable(`examples/data/chats/${split}.jsonl`);
      return selectChats(table, {}, split).conversations;
    }),
  );
  assert.deepEqual([train!.length, held!.length], [1000, 160]);
  const rows = [...train!, ...held!];
  assert.equal(new Set(rows.map(({ messages }) => JSON.stringify(messages))).size, rows.length);
  const share = (test: (of: Conversation) => boolean): number => rows.filter(test).length / rows.length;
  const shares = [
    share(({ messages }) => messages[0]!.role === 'system'),
    share(({ tools }) => tools !== undefined),
    share(({ messages }) => messages.filter(({ role }) => role === 'user').length > 1),
  ] as const;
  assert.ok(
    shares[0] > 0.3 && shares[0] < 0.5 && shares[1] > 0.2 && shares[1] < 0.4 && shares[2] > 0.7,
    shares.join(' '),
  );
  for (const { messages, tools } of rows) {
    assert.equal(messages.at(-1)!.role, 'assistant');
    assert.equal(
      messages.some(({ role }) => role === 'tool'),
      tools !== undefined,
    );
  }
});

test('the base text holds no test row and no prompt of the tasks', () => {
  const held = testTexts();
  const corpus = pretrainCorpus(20, 2e6);
  assert.deepEqual(pretrainCorpus(20, 1e4), corpus.slice(0, pretrainCorpus(20, 1e4).length));
  const all = corpus.join('\n\n');
  assert.doesNotMatch(all, /### ?(Sentence|Class|Dialogue|Summary)|(Sentence|Class|Dialogue|Summary):/);
  const shown = [...held].filter((text) => all.includes(text));
  assert.deepEqual(shown, []);
  for (const group of groups.values()) assert.ok(all.includes(`Group: ${group}`), group);
});

test('rows are drawn apart from one another, and templates nest', () => {
  const first = new Draws(1, 2, 3);
  const again = new Draws(1, 2, 3);
  const other = new Draws(1, 2, 4);
  const numbers = Array.from({ length: 9 }, () => first.next());
  assert.deepEqual(
    Array.from({ length: 9 }, () => again.next()),
    numbers,
  );
  assert.notEqual(other.next(), numbers[0]);
  const text = expand(
    '(a|a) {thing} (is (in|in)|is in) {place}.',
    (slot) => ({ thing: 'oar', place: 'it' })[slot]!,
    first,
  );
  assert.equal(text, 'an oar is in it.');
});
