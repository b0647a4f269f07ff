/** Public chat templates: texts as jinja2 renders them, spans as their authors mark them, and what holds of any conversation. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ChatRenderer, ChatTemplate, Tokenizer, type Message } from '../../src/tokenizer/index.js';
import { UserError } from '../../src/util/errors.js';
import { answers, anyChat, plainChat, withAnswers } from '../../test/support/chat-templates.js';
import { checkChat, checkPacking, checkTokens, kindOf } from '../../test/support/chats.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';

interface Case {
  conversation: string;
  tools: boolean;
  add_generation_prompt: boolean;
  text?: string;
  error?: string;
  assistant_spans?: [number, number][];
  marked?: { text: string; assistant_spans: [number, number][] };
}
interface Golden {
  conversations: Record<string, Message[]>;
  tools: object[];
  templates: Record<string, { template: string; special_tokens: Record<string, string>; cases: Case[] }>;
}
const golden = JSON.parse(readFileSync(join(shared, 'golden/chat/chat.json'), 'utf8')) as Golden;
const now = new Date(2026, 10, 27, 12);

/** From Python's characters to UTF-16 units. */
function unitsOf(text: string, spans: readonly [number, number][]): [number, number][] {
  const characters = Array.from(text);
  const unit = (at: number): number => characters.slice(0, at).join('').length;
  return spans.map(([start, end]) => [unit(start), unit(end)]);
}

describe('golden chats', () => {
  it('288 texts, and the spans of all that are marked', () => {
    let [texts, spanned] = [0, 0];
    for (const [name, { template, special_tokens, cases }] of Object.entries(golden.templates)) {
      const renderer = new ChatRenderer(new ChatTemplate(template, name), special_tokens, { now });
      for (const one of cases) {
        const { conversation, tools, add_generation_prompt: addGenerationPrompt } = one;
        const what = `${name}: ${conversation}`;
        const options = { addGenerationPrompt, ...(tools && { tools: golden.tools }) };
        texts++;
        if (one.error !== undefined) {
          assert.throws(() => renderer.render(golden.conversations[conversation]!, options), UserError, what);
          continue;
        }
        const { text, spans } = renderer.render(golden.conversations[conversation]!, options);
        assert.equal(text, one.text, what);
        if (!one.assistant_spans) continue;
        spanned++;
        assert.deepEqual(
          spans.map(({ start, end }) => [start, end]),
          unitsOf(text, one.assistant_spans),
          what,
        );
      }
    }
    assert.deepEqual([texts, spanned], [288, 62]);
  });

  /** Every turn with its thinking, as the marked variant of this template has it; the marks, where they are wanted. */
  function variant(source: string, isMarked: boolean): string {
    const [begins, ends] = isMarked ? ['{%- generation %}', '{%- endgeneration %}'] : ['', ''];
    return source
      .replace(
        /\{%- if loop\.index0 > ns\.last_query_index %\}[^]*?(?=\{%- if message\.tool_calls %\})/,
        `{{- '<|im_start|>' + message.role + '\\n' }}${begins}{{- '<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}`,
      )
      .replace(/(\{\{- '<\|im_end\|>\\n' \}\})(?=\s*\{%- elif message\.role == "tool" %\})/, `$1${ends}`);
  }

  for (const isMarked of [true, false])
    it(`the marked variant's own texts and spans, ${isMarked ? 'by its marks' : 'derived without its marks'}`, () => {
      const { template, special_tokens, cases } = golden.templates['qwen3']!;
      const source = variant(template, isMarked);
      const renderer = new ChatRenderer(new ChatTemplate(source, 'variant'), special_tokens, { now });
      let spanned = 0;
      for (const { conversation, tools, marked } of cases) {
        if (!marked) continue;
        spanned++;
        const options = tools ? { tools: golden.tools } : {};
        const { text, spans } = renderer.render(golden.conversations[conversation]!, options);
        assert.equal(text, marked.text, conversation);
        assert.deepEqual(
          spans.map(({ start, end }) => [start, end]),
          unitsOf(text, marked.assistant_spans),
          conversation,
        );
      }
      assert.equal(spanned, 8);
    });
});

describe('any conversation', () => {
  // Bytes come back as they were; the others leave white space out of offsets, or begin every text with a space.
  const tokenizers = ['falcon-7b-instruct', 'redpajama-incite-7b', 'llama2', 'mistral-7b-v0.1'].map(
    (name, i) => ({
      tokenizer: Tokenizer.load(join(shared, 'tokenizers', name)),
      isExact: i === 0,
    }),
  );
  for (const [name, { template, special_tokens }] of Object.entries(golden.templates))
    it(name, () => {
      const kind = kindOf(template, name, special_tokens);
      let taken = 0;
      const holds = fc.property(
        fc.array(fc.oneof(plainChat, anyChat), { minLength: 1, maxLength: 3 }),
        answers,
        fc.boolean(),
        (chats, others, hasTools) => {
          const tools = hasTools ? golden.tools : undefined;
          const all = chats.flatMap(
            (messages) => checkChat(kind, messages, withAnswers(messages, others), tools) ?? [],
          );
          taken += all.length;
          for (const { tokenizer, isExact } of tokenizers) {
            const rows = all.flatMap((chat) => checkTokens(tokenizer, chat, isExact) ?? []);
            checkPacking(rows, tokenizer.eosId!);
          }
        },
      );
      fc.assert(holds, { numRuns: 100 });
      assert.ok(taken > 0);
    });
});
