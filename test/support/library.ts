/** A tokenizer against the Rust library, called directly. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Tokenizer } from '../../src/tokenizer/index.js';
import { textsOf } from './tokenizers.js';

export const rust = createRequire(import.meta.url)('tokenizers') as typeof import('tokenizers');

/** Texts that are held at once. */
const AT_ONCE = 2000;

export interface Compared {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  /** Of the same tokenizer.json. */
  readonly library: InstanceType<typeof rust.Tokenizer>;
}

/** Ids, offsets and decoded texts of so many generated texts each. */
export async function compareWithLibrary(all: readonly Compared[], count: number): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    const texts = fc.sample(textsOf, { numRuns: Math.min(AT_ONCE, count - from), seed: 18 + from });
    const whole = texts.map((text) => text.toWellFormed());
    const units = whole.map(unitsOf);
    for (const one of all) await compare(one, { texts, whole, units }, (from / AT_ONCE) % texts.length);
  }
}

/** `alone`: the text that is encoded by itself, too. */
async function compare(
  { name, tokenizer, library }: Compared,
  { texts, whole, units }: Readonly<Record<'texts' | 'whole', string[]>> & { readonly units: number[][] },
  alone: number,
): Promise<void> {
  const where = (i: number): string => `${name}: ${JSON.stringify(texts[i])}`;
  // Ids without offsets take a way of their own for a part of the way.
  const some = texts.slice(0, Math.ceil(texts.length / 10));
  const [encodings, both, withoutOffsets] = await Promise.all([
    library.encodeBatch(whole),
    tokenizer.encodeBatchWithOffsets(texts),
    tokenizer.encodeBatch(some),
  ]);
  const ids = encodings.map((encoding) => encoding.getIds());
  const offsets = encodings.map((encoding, i) =>
    encoding.getOffsets().map((pair) => pair.map((at) => units[i]![at]!)),
  );
  const [ownIds, ownOffsets] = [both.map((one) => one.ids), both.map((one) => one.offsets.flat())];
  const wantedOffsets = offsets.map((pairs) => pairs.flat());
  same(ownIds, ids, where);
  same(ownOffsets, wantedOffsets, where);
  same(withoutOffsets, ids.slice(0, some.length), where);
  const [written, wanted] = await Promise.all([tokenizer.decodeBatch(ids), library.decodeBatch(ids, true)]);
  wanted.forEach((text, i) => assert.equal(written[i], text, where(i)));
  assert.deepEqual(
    tokenizer.encodeWithOffsets(texts[alone]!),
    { ids: ids[alone], offsets: offsets[alone] },
    where(alone),
  );
  assert.equal(tokenizer.decode(ids[alone]!), wanted[alone], where(alone));
}

/** Where each character of a text begins, in UTF-16 units, and the end. */
function unitsOf(text: string): number[] {
  const units = [0];
  for (const character of text) units.push(units.at(-1)! + character.length);
  return units;
}

/** As deepEqual, which takes longer than all else for millions of numbers. */
function same(
  actual: readonly (readonly number[])[],
  expected: readonly (readonly number[])[],
  where: (i: number) => string,
): void {
  assert.equal(actual.length, expected.length);
  for (const [i, wanted] of expected.entries()) {
    const own = actual[i]!;
    if (own.length !== wanted.length || own.some((value, j) => value !== wanted[j]))
      assert.deepEqual(own, wanted, where(i));
  }
}
