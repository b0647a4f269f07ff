/** What goes to the engine and comes from it in pieces: texts by their size, ids and offsets as typed arrays. */

import { UserError } from '../util/errors.js';
import type { Encoded } from './engine/index.js';

/** Where each token's text stands, in UTF-16 units; [0, 0) for a token that is put around the text. */
export type Offsets = [from: number, to: number][];

/** UTF-16 units of text, or ids, that the engine is given at once where a caller takes a promise. */
const BATCH = 1 << 18;

/** As Array.from, which takes ten times as long. */
export function numbersOf(ids: Int32Array): number[] {
  const numbers = new Array<number>(ids.length);
  for (let i = 0; i < ids.length; i++) numbers[i] = ids[i]!;
  return numbers;
}

/** What an engine has made; throws UserError where it has none. */
export function known<A>(places: A | undefined): A {
  if (places === undefined)
    throw new UserError(`offsets need the tokenizers package, which has no binary for ${process.platform}`);
  return places;
}

/** A text's part of what was encoded with others. */
export interface EncodedText {
  readonly text: string;
  readonly ids: Int32Array;
  readonly offsets: Int32Array | undefined;
  readonly trained: Uint8Array | undefined;
  readonly fault: string | undefined;
}

export function textOf(
  { ids, ends, offsets, trained, faults }: Encoded,
  i: number,
): Omit<EncodedText, 'text'> {
  const [from, to] = [i > 0 ? ends[i - 1]! : 0, ends[i]!];
  return {
    ids: ids.subarray(from, to),
    offsets: offsets?.subarray(2 * from, 2 * to),
    trained: trained?.subarray(from, to),
    fault: faults?.[i],
  };
}

export function pairsOf(offsets: Int32Array): Offsets {
  const pairs = new Array<Offsets[number]>(offsets.length / 2);
  for (let i = 0; i < pairs.length; i++) pairs[i] = [offsets[2 * i]!, offsets[2 * i + 1]!];
  return pairs;
}

type Sized = readonly { readonly length: number }[];
export const sizeOf = (all: Sized): number => all.reduce((sum, { length }) => sum + length, 0);

/** Slices of at most BATCH units, or of one item that has more. An item is something, also where it is empty. */
export function slicesOf<T extends Sized[number]>(all: readonly T[]): T[][] {
  const slices: T[][] = [];
  let room = 0;
  for (const item of all) {
    const size = item.length + 16;
    if (slices.length === 0 || size > room) {
      slices.push([]);
      room = BATCH;
    }
    slices.at(-1)!.push(item);
    room -= size;
  }
  return slices;
}
