/** The file's own tokenizer over the prompts' texts. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  comparedCuts,
  keeping,
  type AskedTexts,
  type PromptText,
} from '../../../src/experiments/certify/cuts.js';
import { cutsOtherwise } from '../../../src/experiments/certify/summary.js';
import type { TokenizerLike } from '../../../src/tasks/index.js';

/** A letter a token, 1 before a text, 2 behind it. */
const letters: TokenizerLike = {
  encode: (text, { addSpecialTokens = true } = {}) => {
    const ids = Array.from(text, (c) => c.charCodeAt(0));
    return addSpecialTokens ? [1, ...ids, 2] : ids;
  },
  decode: (ids) => String.fromCharCode(...ids),
  eosId: 2,
};

/** Of prompts that were asked for, the end left out. */
function compared(texts: readonly PromptText[], cut: (text: PromptText) => number[], spaces = true) {
  const asked: AskedTexts = new Map();
  const kept = keeping(letters, asked);
  const prompts = texts.map(({ text, special }, i) => {
    const ids = kept.encode(text, { addSpecialTokens: special });
    return { index: 10 + i, ids: ids.at(-1) === 2 ? ids.slice(0, -1) : ids };
  });
  const order = { prompts, asked, tokenizer: letters, spaces };
  return comparedCuts(order, (text) => Promise.resolve(cut(text)));
}

describe("the file's own tokenizer", () => {
  const texts = [
    { text: 'one', special: true },
    { text: ' two', special: true },
    { text: 'three', special: false },
  ];
  const own = ({ text, special }: PromptText): number[] =>
    letters.encode(text, { addSpecialTokens: special });
  const spaced = ({ text, special }: PromptText): number[] =>
    own({ text: text.startsWith(' ') ? ` ${text}` : text, special });

  it('cuts the texts that were asked, with what stands around them', async () => {
    assert.deepEqual(await compared(texts, own), { equal_rows: 3, known_rows: 0 });
    const bare = await compared(texts, ({ text }) => own({ text, special: false }));
    assert.deepEqual(bare, { equal_rows: 1, known_rows: 0, first_difference: { row: 10, place: 0 } });
  });

  it('is known to put a space before one, in llama.cpp', async () => {
    assert.deepEqual(await compared(texts, spaced), { equal_rows: 2, known_rows: 1 });
    assert.deepEqual(await compared(texts, spaced, false), {
      ...{ equal_rows: 2, known_rows: 0, first_difference: { row: 11, place: 2 } },
    });
  });

  it('is a fault where more than a few rows differ, and else told', () => {
    const first = { row: 3, place: 1 };
    const few = cutsOtherwise({ equal_rows: 61, known_rows: 0, first_difference: first }, 64);
    assert.deepEqual(few, {
      faults: [],
      notes: ["the file's own tokenizer cuts 3 of 64 prompts into other tokens: row 4 first, at token 2"],
    });
    const many = cutsOtherwise({ equal_rows: 50, known_rows: 4, first_difference: first }, 64);
    assert.match(many.faults.join(), /cuts 10 of 64 prompts/);
    assert.deepEqual(many.notes, ['llama.cpp puts a space before 4 of 64 prompts, which begin with one']);
    assert.deepEqual(cutsOtherwise({ equal_rows: 9, known_rows: 0 }, 9), { faults: [], notes: [] });
  });
});
