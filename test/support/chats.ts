/** What has to hold of every rendered conversation and its tokens, whatever the template and the tokenizer. */
import assert from 'node:assert/strict';
import { IGNORE_INDEX, packConcat, packIsolated, unpacked, type Example } from '../../src/data/packing.js';
import { derivedSpans } from '../../src/tokenizer/chat/derived.js';
import { prepared } from '../../src/tokenizer/chat/messages.js';
import { rendered } from '../../src/tokenizer/chat/rendering.js';
import {
  ChatRenderer,
  ChatTemplate,
  trainedTokens,
  type Message,
  type RenderedChat,
  type Tokenizer,
} from '../../src/tokenizer/index.js';
import { UserError } from '../../src/util/errors.js';

/** A template, with what it has been asked so far. */
export interface Kind {
  readonly template: ChatTemplate;
  readonly special: Readonly<Record<string, unknown>>;
  readonly renderer: ChatRenderer;
}

export function kindOf(source: string, name: string, special: Readonly<Record<string, unknown>>): Kind {
  const template = new ChatTemplate(source, name);
  return { template, special, renderer: new ChatRenderer(template, special) };
}

/** Undefined where it is refused, which is always in one line. */
function unlessRefused<R>(work: () => R): R | undefined {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.ok(!error.message.includes('\n'), error.message);
    return undefined;
  }
}

const outsideOf = ({ text, spans }: RenderedChat): string[] =>
  [0, ...spans.map(({ end }) => end)].map((from, k) => text.slice(from, spans[k]?.start));

/** Spans in the text, in order and apart, one an answer, with what the answer says. */
function checkSpans({ text, spans }: RenderedChat, messages: readonly Message[]): void {
  let at = 0;
  for (const { message, start, end, turn } of spans) {
    assert.ok(at <= start && start < end && end <= text.length);
    assert.ok(turn.start <= start && end <= turn.end && turn.end <= text.length);
    at = end;
    const { role, content, tool_calls: calls } = messages[message]!;
    assert.equal(role, 'assistant');
    if (typeof content === 'string' && !content.includes('think>') && !calls)
      assert.ok(
        text.slice(start, end).includes(content.trim()),
        JSON.stringify([content, text.slice(start, end)]),
      );
  }
  const answers = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
  assert.deepEqual(
    spans.map(({ message }) => message),
    answers,
  );
}

/**
 * Renders a conversation and the same with other answers, between which only the spans may differ. What stands for the contents of a
 * pattern has the spans that are derived from the conversation itself.
 */
export function checkChat(
  { template, special, renderer }: Kind,
  messages: readonly Message[],
  answered: readonly Message[],
  tools: readonly object[] | undefined,
): RenderedChat | undefined {
  const chat = unlessRefused(() => renderer.render(messages, { tools }));
  if (!chat) return undefined;
  checkSpans(chat, messages);
  const other = unlessRefused(() => renderer.render(answered, { tools }));
  if (other) assert.deepEqual(outsideOf(other), outsideOf(chat));
  const asking = unlessRefused(() => renderer.render(messages, { tools, addGenerationPrompt: true }));
  if (asking) assert.deepEqual(outsideOf(asking).slice(0, -1), outsideOf(chat).slice(0, -1));
  if (!template.isMarked && asking) {
    const rendering = {
      template,
      context: { ...special, tools: tools ?? null, documents: null },
      options: {},
    };
    const whole = prepared(messages, renderer.form);
    const derived = unlessRefused(() => derivedSpans(rendering, whole, rendered(rendering, whole)));
    if (derived) assert.deepEqual(asking.spans, derived);
  }
  return chat;
}

/**
 * The labels of a chat; undefined where its tokens do not keep turns apart. Tokens that are trained on have something of a span and of
 * nobody else's turn; others have nothing of it, or white space that a token of the template's took in.
 * @param isExact whether decoding gives back each letter, as that of bytes does
 */
export function checkTokens(
  tokenizer: Tokenizer,
  chat: RenderedChat,
  isExact = true,
): { ids: number[]; labels: number[] } | undefined {
  const { text, spans } = chat;
  const { ids, offsets } = tokenizer.encodeWithOffsets(text, { addSpecialTokens: false });
  const trained = unlessRefused(() => trainedTokens(text, spans, offsets));
  const asked = tokenizer.encodeChat(chat);
  assert.deepEqual(asked.ids, ids);
  assert.equal(asked.fault === undefined, trained !== undefined);
  if (!trained) return undefined;
  assert.deepEqual(Array.from(asked.trained), Array.from(trained));
  const isWithin = new Uint8Array(text.length);
  for (const { start, end } of spans) isWithin.fill(1, start, end);
  let read = 0;
  let straddles = false;
  for (const [k, [begins, to]] of offsets.entries()) {
    const from = Math.min(begins, read);
    read = Math.max(read, to);
    const inside = Array.from({ length: to - from }, (_, j) => j + from).filter((j) => isWithin[j] === 1);
    straddles ||= inside.length > 0 && inside.length < to - from;
    if (trained[k] === 1) {
      assert.ok(inside.length > 0);
      const span = spans.find(({ start, end }) => from < end && start < to)!;
      assert.ok(span.turn.start <= from && to <= span.turn.end);
    } else
      assert.equal(
        inside
          .map((j) => text[j]!)
          .join('')
          .trim(),
        '',
      );
  }
  if (isExact && !straddles) {
    const kept = ids.filter((_, k) => trained[k] === 1);
    const said = spans.map(({ start, end }) => text.slice(start, end)).join('');
    assert.equal(tokenizer.decode(kept, { skipSpecialTokens: false }), said);
  }
  return { ids, labels: ids.map((id, k) => (trained[k] === 1 ? id : IGNORE_INDEX)) };
}

/** The labels of blocks are the rows' labels, one behind the other. */
export function checkPacking(rows: readonly { ids: number[]; labels: number[] }[], eosTokenId: number): void {
  const examples: Example[] = rows
    .filter(({ labels }) => labels.slice(1).some((label) => label !== IGNORE_INDEX))
    .map((row, i) => ({ ...row, row: i }));
  if (examples.length === 0) return;
  const length = Math.max(...examples.map(({ ids }) => ids.length)) + 3;
  for (const block of [...unpacked(examples, { length }), ...packIsolated(examples, { length })]) {
    assert.deepEqual(
      Array.from(block.labels),
      block.rows.flatMap((row) => Array.from(examples[row]!.labels)),
    );
    assert.deepEqual(
      Array.from(block.ids),
      block.rows.flatMap((row) => Array.from(examples[row]!.ids)),
    );
  }
  const joined = examples.flatMap(({ ids, labels }) => {
    const isEnded = ids[ids.length - 1] === eosTokenId;
    const last = labels[labels.length - 1] === IGNORE_INDEX ? IGNORE_INDEX : eosTokenId;
    return [...Array.from(labels), ...(isEnded ? [] : [last])];
  });
  // Blocks of which nothing is trained on are left out.
  const whole = packConcat(examples, { length: joined.length, eosTokenId });
  assert.deepEqual(
    whole.flatMap(({ labels }) => Array.from(labels)),
    joined,
  );
}
