/** The demonstration data sets of examples/data as the texts of their files. */
import { makeChat, type Chat } from './chats.js';
import { makeDialogue, type Dialogue } from './dialogues.js';
import { makePost, type Post } from './posts.js';

/** What everything that is made for the demonstration derives from. */
export const SEED = 20;

const STREAMS = {
  postTest: 1,
  postTrain: 2,
  dialogueTest: 3,
  dialogueTrain: 4,
  chatTest: 5,
  chatTrain: 6,
} as const;

/** Streams from here on are free for texts outside the data sets. */
export const FIRST_FREE_STREAM = 16;

const ROWS = {
  postTest: 320,
  postTrain: 1800,
  dialogueTest: 200,
  dialogueTrain: 1400,
  chatTest: 160,
  chatTrain: 1000,
} as const;

/** File contents by path within examples/data. No text stands twice in a data set, nor in both of its splits. */
export function dataFiles(): ReadonlyMap<string, string> {
  const posts = new Set<string>();
  const dialogues = new Set<string>();
  const chats = new Set<string>();
  return new Map([
    ['posts/test.csv', csvOfPosts('postTest', posts)],
    ['posts/train.csv', csvOfPosts('postTrain', posts)],
    ['dialogues/test.json', jsonOfDialogues('dialogueTest', dialogues)],
    ['dialogues/train.json', jsonOfDialogues('dialogueTrain', dialogues)],
    ['chats/test.jsonl', linesOfChats('chatTest', chats)],
    ['chats/train.jsonl', linesOfChats('chatTrain', chats)],
  ]);
}

/** The posts and dialogues of the test splits: what a base model must not have read. */
export function testTexts(): ReadonlySet<string> {
  const seen = new Set<string>();
  postRows('postTest', seen);
  dialogueRows('dialogueTest', seen);
  return seen;
}

function csvOfPosts(split: 'postTest' | 'postTrain', seen: Set<string>): string {
  const lines = postRows(split, seen).map(
    ({ text, label }, i) => `${idOf(split, i)},"${text.replaceAll('"', '""')}",${label}`,
  );
  return ['id,text,label', ...lines, ''].join('\n');
}

function jsonOfDialogues(split: 'dialogueTest' | 'dialogueTrain', seen: Set<string>): string {
  const lines = dialogueRows(split, seen).map(({ dialogue, summary }, i) =>
    JSON.stringify({ id: idOf(split, i), dialogue, summary }),
  );
  return `[\n${lines.join(',\n')}\n]\n`;
}

function linesOfChats(split: 'chatTest' | 'chatTrain', seen: Set<string>): string {
  const make = (row: number): Chat => makeChat(SEED, STREAMS[split], row);
  const rows = distinct(ROWS[split], seen, make, ({ messages }) => JSON.stringify(messages));
  return rows.map((chat, i) => `${JSON.stringify({ id: idOf(split, i), ...chat })}\n`).join('');
}

function postRows(split: 'postTest' | 'postTrain', seen: Set<string>): Post[] {
  const make = (row: number): Post => makePost(SEED, STREAMS[split], row);
  return distinct(ROWS[split], seen, make, ({ text }) => text);
}

function dialogueRows(split: 'dialogueTest' | 'dialogueTrain', seen: Set<string>): Dialogue[] {
  const make = (row: number): Dialogue => makeDialogue(SEED, STREAMS[split], row);
  return distinct(ROWS[split], seen, make, ({ dialogue }) => dialogue);
}

/** The first `count` rows whose text is new; they are added to `seen`. */
function distinct<T>(
  count: number,
  seen: Set<string>,
  make: (row: number) => T,
  textOf: (row: T) => string,
): T[] {
  const rows: T[] = [];
  for (let i = 0; rows.length < count; i++) {
    const row = make(i);
    if (seen.has(textOf(row))) continue;
    seen.add(textOf(row));
    rows.push(row);
  }
  return rows;
}

function idOf(split: keyof typeof ROWS, row: number): string {
  return `${split.endsWith('Test') ? 'test' : 'train'}-${String(row + 1).padStart(4, '0')}`;
}
