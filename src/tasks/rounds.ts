/**
 * Work that needs texts encoded, written once, as generators that ask for texts and are given their ids: done at once, text by text, or
 * with many at work side by side, whose texts of a round are encoded together.
 */

import { UserError } from '../util/errors.js';
import type { RenderedChat } from '../tokenizer/index.js';
import type { TokenizerLike, Tokens } from './tokenizer.js';

/** A text whose ids are wanted: `special`: with what the tokenizer puts around a text; `spans`: a conversation's, which has its own. */
type Wanted = { readonly text: string; readonly special: boolean; readonly spans?: undefined } | RenderedChat;

/** Asks for texts and goes on with their ids, to a result. */
export type Encoding<R> = Generator<readonly Wanted[], R, readonly Tokens[]>;

/** UTF-16 units that works side by side ask for in a round, more or less. */
const ROUND = 1 << 18;

export function encodeNow<R>(tokenizer: TokenizerLike, work: Encoding<R>): R {
  let step = work.next();
  while (!step.done)
    step = work.next(
      step.value.map((one) =>
        one.spans
          ? (tokenizer.encodeChat?.(one) ?? noOffsets())
          : { ids: tokenizer.encode(one.text, { addSpecialTokens: one.special }) },
      ),
    );
  return step.value;
}

/** The same, a round's texts in one batch; other things have their turn after each. */
export async function encodeLater<R>(tokenizer: TokenizerLike, work: Encoding<R>): Promise<R> {
  let step = work.next();
  while (!step.done) {
    const ids = await batch(tokenizer, step.value);
    await new Promise(setImmediate);
    step = work.next(ids);
  }
  return step.value;
}

async function batch(tokenizer: TokenizerLike, wanted: readonly Wanted[]): Promise<Tokens[]> {
  const results: Tokens[] = [];
  const of = async <W extends Wanted>(
    which: (one: Wanted) => one is W,
    encode: (some: W[]) => Promise<readonly Tokens[]>,
  ): Promise<void> => {
    const some = wanted.filter(which);
    if (some.length === 0) return;
    const encoded = await encode(some);
    let next = 0;
    for (const [i, one] of wanted.entries()) if (which(one)) results[i] = encoded[next++]!;
  };
  const plain = (addSpecialTokens: boolean): Promise<void> =>
    of(
      (one): one is Exclude<Wanted, RenderedChat> => !one.spans && one.special === addSpecialTokens,
      async (some) => {
        const texts = some.map(({ text }) => text);
        const ids = tokenizer.encodeBatch
          ? await tokenizer.encodeBatch(texts, { addSpecialTokens })
          : texts.map((text) => tokenizer.encode(text, { addSpecialTokens }));
        return ids.map((own) => ({ ids: own }));
      },
    );
  const chats = of(
    (one): one is RenderedChat => one.spans !== undefined,
    (some) => tokenizer.encodeChats?.(some) ?? noOffsets(),
  );
  await Promise.all([plain(true), plain(false), chats]);
  return results;
}

function noOffsets(): never {
  throw new UserError('chats need a tokenizer that says where its tokens stand in a text');
}

/**
 * Works side by side, as many as ask for ROUND units together; the results in their order. Throws what the first of the failing ones
 * throws, as if one were done after the other.
 */
export function* sideBySide<R>(works: Iterable<Encoding<R>>): Encoding<R[]> {
  const results: R[] = [];
  let failed: { readonly index: number; readonly error: unknown } | undefined;
  interface Active {
    readonly index: number;
    readonly work: Encoding<R>;
    readonly wanted: readonly Wanted[];
  }
  const goOn = (index: number, work: Encoding<R>, ids?: readonly Tokens[]): Active[] => {
    try {
      const step = ids ? work.next(ids) : work.next();
      if (!step.done) return [{ index, work, wanted: step.value }];
      results[index] = step.value;
    } catch (error) {
      failed = { index, error };
    }
    return [];
  };
  let active: Active[] = [];
  let index = 0;
  const waiting = works[Symbol.iterator]();
  for (;;) {
    let units = sizeOf(active.flatMap(({ wanted }) => wanted));
    while (units < ROUND && !failed) {
      const next = waiting.next();
      if (next.done) break;
      const begun = goOn(index++, next.value);
      active.push(...begun);
      units += sizeOf(begun.flatMap(({ wanted }) => wanted));
    }
    if (active.length === 0) break;
    const ids = yield active.flatMap(({ wanted }) => wanted);
    let from = 0;
    const went: Active[] = [];
    for (const { index, work, wanted } of active) {
      const own = ids.slice(from, (from += wanted.length));
      if (!failed || index < failed.index) went.push(...goOn(index, work, own));
    }
    active = went;
  }
  if (failed) throw failed.error;
  return results;
}

const sizeOf = (wanted: readonly Wanted[]): number =>
  wanted.reduce((sum, { text }) => sum + text.length + 16, 0);
