/**
 * The exported file's own tokenizer: both sides answer from our tokens, so that one that was exported wrongly would not show otherwise. It
 * cuts the texts that prompts were made of.
 */

import { commonPrefix } from '../../generate/prompts.js';
import type { TokenizerLike } from '../../tasks/index.js';
import type { CertifiedPrompts } from '../store/certificate.js';

/** A text, and whether it gets what the tokenizer puts around one. */
export interface PromptText {
  readonly text: string;
  readonly special: boolean;
}

/** By a tokenizer's ids, ends left out, the text that they were asked of. */
export type AskedTexts = Map<string, PromptText>;

function keyOf(ids: readonly number[], end: number | undefined): string {
  return ids.slice(0, ids.findLastIndex((id) => id !== end) + 1).join();
}

/** The same tokenizer, which keeps in `asked` what it is asked. */
export function keeping(tokenizer: TokenizerLike, asked: AskedTexts): TokenizerLike {
  const { eosId, decoderStartId, hasChatTemplate = false } = tokenizer;
  const kept = (text: string, special: boolean, ids: number[]): number[] => {
    asked.set(keyOf(ids, eosId), { text, special });
    return ids;
  };
  return {
    ...{ eosId, decoderStartId, hasChatTemplate },
    encode: (text, options = {}) =>
      kept(text, options.addSpecialTokens ?? true, tokenizer.encode(text, options)),
    encodeBatch: async (texts, options = {}) => {
      const all = await tokenizer.encodeBatch!(texts, options);
      return all.map((ids, i) => kept(texts[i]!, options.addSpecialTokens ?? true, ids));
    },
    decode: (ids, options) => tokenizer.decode(ids, options),
    idToToken: (id) => tokenizer.idToToken!(id),
    encodeChat: (chat) => tokenizer.encodeChat!(chat),
    encodeChats: (chats) => tokenizer.encodeChats!(chats),
    renderChat: (messages, options) => tokenizer.renderChat!(messages, options),
  };
}

/** What a certificate asks the file's tokenizer about. */
interface Asked {
  readonly prompts: readonly { readonly index: number; readonly ids: readonly number[] }[];
  readonly asked: AskedTexts;
  readonly tokenizer: TokenizerLike;
  /** Whether llama.cpp cuts, of which it is known that it puts a space before a text that begins with one. */
  readonly spaces: boolean;
}

/** Lets `cut` cut each prompt's text. */
export async function comparedCuts(
  { prompts, asked, tokenizer, spaces }: Asked,
  cut: (text: PromptText) => Promise<readonly number[]>,
): Promise<CertifiedPrompts> {
  let [equal, known] = [0, 0];
  let first: CertifiedPrompts['first_difference'];
  for (const { index, ids } of prompts) {
    const text = asked.get(keyOf(ids, tokenizer.eosId));
    // A task of one's own may make prompts of something else than a text.
    if (!text) continue;
    const ours = (text: string, addSpecialTokens: boolean): number[] =>
      tokenizer.encode(text, { addSpecialTokens });
    const theirs = await cut(text);
    const same = (own: readonly number[]): boolean => own.join() === theirs.join();
    const mine = ours(text.text, text.special);
    if (same(mine)) equal++;
    else if (spaces && text.text.startsWith(' ') && same(ours(` ${text.text}`, text.special))) known++;
    else first ??= { row: index, place: commonPrefix([mine, theirs]) };
  }
  return { equal_rows: equal, known_rows: known, ...(first && { first_difference: first }) };
}
