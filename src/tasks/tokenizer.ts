/** What tasks ask of a tokenizer. */

import type { ChatOptions, Message, RenderedChat } from '../tokenizer/index.js';

interface EncodeOptions {
  readonly addSpecialTokens?: boolean;
}

/** Ids; of a conversation, for each 1 where it is trained on, or why that cannot be told. */
export interface Tokens {
  readonly ids: number[];
  readonly trained?: Uint8Array;
  readonly fault?: string | undefined;
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
  /** For chats: which tokens stand for spans of the text, and the model's own chat template. */
  encodeChat?(chat: RenderedChat): Tokens;
  encodeChats?(chats: readonly RenderedChat[]): Promise<Tokens[]>;
  readonly hasChatTemplate?: boolean;
  renderChat?(
    messages: readonly Message[],
    options?: ChatOptions & { readonly template?: string | undefined },
  ): RenderedChat;
}
