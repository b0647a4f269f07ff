/** What goes between a thread with tokenizers, the thread that serves it (bridge.ts) and the process with the engines (process.ts). */

import type { ChatSpan } from '../chat/rendering.js';

/**
 * Texts to encode, `special`: with the tokens that the tokenizer puts around a text. `places`: and the UTF-16 units that each id stands for,
 * or, by the spans of each text, which of its tokens are trained on.
 */
export interface Texts {
  readonly texts: readonly string[];
  readonly special: boolean;
  readonly places?: 'offsets' | readonly (readonly ChatSpan[])[] | undefined;
}

/** What is asked of an engine. A load's `json` is the text of a tokenizer.json; `key` is its name from then on. */
export type Order =
  | { readonly do: 'load'; readonly key: number; readonly json: string }
  | { readonly do: 'unload'; readonly key: number }
  | ({ readonly do: 'encode'; readonly key: number } & Texts)
  | {
      readonly do: 'decode';
      readonly key: number;
      readonly all: readonly (readonly number[])[];
      readonly skip: boolean;
    };

/** The ids of all texts one behind the other, and where each text's end. What was not asked for is absent, as is what an engine has not. */
export interface Encoded {
  readonly ids: Int32Array;
  readonly ends: Int32Array;
  /** The UTF-16 units [from, to) that each id stands for. */
  readonly offsets?: Int32Array;
  /** 1 for an id that is trained on; of a text that has a fault this says nothing. */
  readonly trained?: Uint8Array;
  /** Why it cannot be told of a text which are. */
  readonly faults?: readonly (string | undefined)[];
}

/** Of a load: the ids of the added tokens, in their order. */
export type Result =
  | { readonly added: readonly (number | undefined)[] }
  | Encoded
  | { readonly texts: readonly string[] }
  | { readonly done: true };

/** `died`: of the order that was under way when the process with the engines went down, or that took too long. */
export interface Failure {
  readonly error: string;
  readonly died?: boolean;
}

/** `limit`: milliseconds that the order may take. */
export interface Call {
  readonly call: number;
  readonly order: Order;
  readonly limit: number;
}

export interface Reply {
  readonly call: number;
  readonly result: Result | Failure;
}

export const isFailure = (result: Result | Failure): result is Failure => 'error' in result;

/** What an engine does, the library's own or the one in JavaScript. */
export interface Engine {
  readonly added: readonly (number | undefined)[];
  encode(texts: Texts): Promise<Encoded>;
  decode(all: readonly (readonly number[])[], skip: boolean): Promise<string[]>;
}
