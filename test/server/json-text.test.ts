/** What may stand behind what in an answer that is held to a grammar: by the platform's own decoder. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonText } from '../../src/server/grammar/json-text.js';

const fallback = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
/** GPT-2's characters, by its own rule: https://github.com/openai/gpt-2/blob/master/src/encoder.py */
const printed = [
  ...Array.from({ length: 94 }, (_, i) => 33 + i),
  ...Array.from({ length: 12 }, (_, i) => 161 + i),
  ...Array.from({ length: 82 }, (_, i) => 174 + i),
];
const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !printed.includes(byte));
const level = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(printed.includes(byte) ? byte : 256 + others.indexOf(byte)),
);

const lengthOf = (first: number): number => (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1);

function isCharacter(first: number, second: number): boolean {
  const bytes = [first, second, 0x80, 0x80].slice(0, lengthOf(first));
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    return true;
  } catch {
    return false;
  }
}

for (const [spelling, bytes] of [
  ['byte_fallback', fallback],
  ['byte_level', level],
] as const)
  test(`${spelling}: bytes that go on are those of a character`, () => {
    const pairs =
      spelling === 'byte_level'
        ? [level[0xed]! + level[0xa0]!, level[0xed]! + level[0x9f]!]
        : ['a\tb', 'é and so on'];
    const rules = new JsonText({ tokens: [...bytes, ...pairs, '', 'word'], spelling, stops: [] });
    const allowed = (token: number, after?: number): boolean => {
      const mask = new Int32Array(9).fill(-1);
      rules.forbid(mask, after);
      return ((mask[token >> 5]! >>> (token & 31)) & 1) === 1;
    };
    for (let first = 0xc0; first < 256; first++)
      for (let second = 0x80; second < 0xc0; second++)
        assert.equal(
          allowed(first) && allowed(second, first),
          isCharacter(first, second),
          `${first} ${second}`,
        );
    for (let byte = 0; byte < 0xc0; byte++) assert.equal(allowed(byte), byte >= 0x20, String(byte));
    assert.deepEqual([allowed(256), allowed(257)], [false, true]);
    // Half of a surrogate pair would take it along.
    assert.equal(allowed(0xa0, 0xed), false);
  });
