/**
 * A large file of chats, to measure how it is read and encoded: `node --import tsx scripts/large-chats.ts --rows 1000000 chats.jsonl` writes
 * 2 GB. The same numbers give the same bytes. Words are drawn as a language has them, few often and many seldom.
 */

import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { readTable } from '../src/data/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rows: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const [path] = positionals;
if (path === undefined) throw new Error('which file?');

let state = Number(values.seed);
/** xorshift32: quick, and the same everywhere. */
const random = (): number => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};
const below = (n: number): number => Math.floor(random() * n);

const texts = await readTable(new URL('../examples/data/posts/train.csv', import.meta.url).pathname);
const counts = new Map<string, number>();
for (const text of texts.flatMap((row) => Object.values(row) as string[]))
  for (const found of text.match(/[A-Za-z]+/g) ?? []) counts.set(found, (counts.get(found) ?? 0) + 1);
const words = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
// Zipf's law: the k-th word is drawn as often as 1 / k says.
const word = (): string => words[Math.floor(words.length ** random()) - 1]!;
const sentence = (): string => {
  const said = Array.from({ length: 6 + below(14) }, word).join(' ');
  return `${said[0]!.toUpperCase()}${said.slice(1)}.`;
};
const said = (most: number): string => Array.from({ length: 1 + below(most) }, sentence).join(' ');

const out = createWriteStream(path);
for (let row = 0; row < Number(values.rows); row++) {
  const messages: { role: string; content: string }[] = [];
  if (below(3) === 0) messages.push({ role: 'system', content: said(2) });
  for (let turn = 1 + below(6); turn > 0; turn--)
    messages.push({ role: 'user', content: said(4) }, { role: 'assistant', content: said(10) });
  if (!out.write(`${JSON.stringify({ id: row, messages })}\n`)) await once(out, 'drain');
}
out.end();
await once(out, 'finish');
