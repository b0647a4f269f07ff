/** What goes between a thread with tokenizers, the thread that serves it (bridge.ts) and the process with the engines (process.ts). */

/** What is asked of an engine. A load's `json` is the text of a tokenizer.json; `key` is its name from then on. */
export type Order =
  | { readonly do: 'load'; readonly key: number; readonly json: string }
  | { readonly do: 'unload'; readonly key: number }
  | {
      readonly do: 'encode';
      readonly key: number;
      readonly texts: readonly string[];
      readonly special: boolean;
      readonly offsets: boolean;
    }
  | {
      readonly do: 'decode';
      readonly key: number;
      readonly all: readonly (readonly number[])[];
      readonly skip: boolean;
    };

/** The ids of all texts one behind the other, where each text's end, and, if asked for, the UTF-16 units [from, to) that each id stands for. */
export interface Encoded {
  readonly ids: Int32Array;
  readonly ends: Int32Array;
  /** Undefined, too, of an engine that has none. */
  readonly offsets: Int32Array | undefined;
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
  encode(texts: readonly string[], special: boolean, offsets: boolean): Promise<Encoded>;
  decode(all: readonly (readonly number[])[], skip: boolean): Promise<string[]>;
}
