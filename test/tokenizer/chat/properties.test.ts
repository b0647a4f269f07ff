/** What holds for any conversation: spans and the text around them, tokens that are trained on, and blocks of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { CHATML, Tokenizer } from '../../../src/tokenizer/index.js';
import {
  answers,
  anyChat,
  plainChat,
  SPECIAL,
  TEMPLATES,
  TOOLS,
  withAnswers,
} from '../../support/chat-templates.js';
import { checkChat, checkPacking, checkTokens, kindOf } from '../../support/chats.js';
import { byteTokenizer } from '../../support/tokenizers.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-chats-'));
after(() => rmSync(folder, { recursive: true }));

/** Merges that go across what templates write and what is said. */
const MERGES = [
  ['\n', '\n'],
  ['>', '<'],
  ['t', 'h'],
  ['th', 'e'],
  ['>', '\n'],
  [' ', ' '],
] as const;

function tokenizerOf(special: readonly string[]): Tokenizer {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer(MERGES, special)));
  return Tokenizer.load(folder);
}

const tokenizers = [
  tokenizerOf(['<s>', '</s>', '<|im_start|>', '<|im_end|>', '<|end|>', '<|eot_id|>']),
  tokenizerOf([]),
];

describe('any conversation', () => {
  for (const [name, source] of Object.entries({ ...TEMPLATES, CHATML })) {
    it(name, () => {
      const kind = kindOf(source, name, SPECIAL);
      let taken = 0;
      const holds = fc.property(
        fc.oneof(plainChat, anyChat),
        answers,
        fc.boolean(),
        (messages, others, hasTools) => {
          const chat = checkChat(kind, messages, withAnswers(messages, others), hasTools ? TOOLS : undefined);
          if (!chat) return;
          taken++;
          for (const tokenizer of tokenizers) checkTokens(tokenizer, chat);
        },
      );
      fc.assert(holds, { numRuns: 100 });
      assert.ok(taken > 0);
    });
  }

  it('blocks have the labels of their rows', () => {
    const kinds = Object.entries(TEMPLATES).map(([name, source]) => kindOf(source, name, SPECIAL));
    const holds = fc.property(fc.array(plainChat, { minLength: 1, maxLength: 6 }), fc.nat(), (chats, k) => {
      const kind = kinds[k % kinds.length]!;
      const rows = chats.flatMap((messages) => {
        const chat = checkChat(kind, messages, messages, undefined);
        return chat ? (checkTokens(tokenizers[0]!, chat) ?? []) : [];
      });
      checkPacking(rows, tokenizers[0]!.tokenToId('</s>')!);
    });
    fc.assert(holds, { numRuns: 60 });
  });
});
