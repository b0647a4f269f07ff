/** What tasks ask of a tokenizer. */

import type { ChatOptions, Message, RenderedChat } from '../tokenizer/index.js';

interface EncodeOptions {
  readonly addSpecialTokens?: boolean;
}

/** Ids, and where the text of each stands, in UTF-16 units. */
export interface TokensWithOffsets {
  readonly ids: number[];
  readonly offsets: readonly (readonly [from: number, to: number])[];
}

/** The part of a tokenizer that tasks use; the class of src/tokenizer is one. */
export interface TokenizerLike {
  encode(text: string, options?: EncodeOptions): number[];
  /** The same of many texts, where the tokenizer is quicker so. */
  encodeBatch?(texts: readonly string[], options?: EncodeOptions): Promise<number[][]>;
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  idToToken?(id: number): string | undefined;
  readonly eosId: number | undefined;
  /** Of a model with an encoder: what its decoder's text begins with. Prompts are the encoder's texts then, and end as texts do. */
  readonly decoderStartId?: number | undefined;
  /** For chats: offsets, and the model's own chat template. */
  encodeWithOffsets?(text: string, options?: EncodeOptions): TokensWithOffsets;
  encodeBatchWithOffsets?(texts: readonly string[], options?: EncodeOptions): Promise<TokensWithOffsets[]>;
  readonly hasChatTemplate?: boolean;
  renderChat?(
    messages: readonly Message[],
    options?: ChatOptions & { readonly template?: string | undefined },
  ): RenderedChat;
}
