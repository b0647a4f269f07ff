/** The Rust library, by its Node.js package: ids, offsets and texts are its own; a batch is encoded on all processors. */
import { createRequire } from 'node:module';
import type { Tokenizer } from 'tokenizers';
import type { Encoded, Engine } from './protocol.js';

type Library = typeof import('tokenizers');

/** The library, or undefined where the package has no binary for this platform. */
export function nativeLibrary(): Library | undefined {
  try {
    return createRequire(import.meta.url)('tokenizers') as Library;
  } catch {
    return undefined;
  }
}

/** Throws the library's own Error for a tokenizer.json that it refuses. */
export function nativeEngine(library: Library, json: string): Engine {
  const tokenizer = library.Tokenizer.fromString(json);
  return {
    added: addedContents(json).map((content) => tokenizer.tokenToId(content) ?? undefined),
    encode: (texts, special, offsets) => encode(tokenizer, texts, special, offsets),
    decode: (all, skip) => tokenizer.decodeBatch(all as number[][], skip),
  };
}

export function addedContents(json: string): string[] {
  const { added_tokens: added } = JSON.parse(json) as { added_tokens?: { content: string }[] | null };
  return (added ?? []).map(({ content }) => content);
}

async function encode(
  tokenizer: Tokenizer,
  texts: readonly string[],
  addSpecialTokens: boolean,
  withOffsets: boolean,
): Promise<Encoded> {
  const whole = texts.map((text) => text.toWellFormed());
  const encodings = await tokenizer.encodeBatch(whole, { addSpecialTokens });
  const all = encodings.map((encoding) => encoding.getIds());
  const ids = new Int32Array(all.reduce((sum, { length }) => sum + length, 0));
  const ends = new Int32Array(all.length);
  // The library hands them over as an array of two for each id, which takes as long as encoding.
  const offsets = withOffsets ? new Int32Array(2 * ids.length) : undefined;
  let at = 0;
  all.forEach((own, i) => {
    ids.set(own, at);
    if (offsets) {
      const units = unitsOf(whole[i]!);
      encodings[i]!.getOffsets().forEach(([from, to], j) => {
        offsets[2 * (at + j)] = units ? units[from!]! : from!;
        offsets[2 * (at + j) + 1] = units ? units[to!]! : to!;
      });
    }
    ends[i] = at += own.length;
  });
  return { ids, ends, offsets };
}

/** Where each character begins in UTF-16 units, and the end; undefined where every character is one. */
function unitsOf(text: string): Int32Array | undefined {
  if (!/[\ud800-\udbff]/.test(text)) return undefined;
  const units = new Int32Array(text.length + 1);
  let [character, unit] = [0, 0];
  for (; unit < text.length; character++) {
    units[character] = unit;
    unit += text.codePointAt(unit)! > 0xffff ? 2 : 1;
  }
  units[character] = unit;
  return units;
}
