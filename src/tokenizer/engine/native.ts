/** The Rust library, by its Node.js package: ids, offsets and texts are its own; a batch is encoded on all processors. */
import { createRequire } from 'node:module';
import type { Encoding, Tokenizer } from 'tokenizers';
import { UserError } from '../../util/errors.js';
import { trainedTokens, type Places } from '../chat/mask.js';
import type { Encoded, Engine, Texts } from './protocol.js';

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
    encode: (texts) => encode(tokenizer, texts),
    decode: (all, skip) => tokenizer.decodeBatch(all as number[][], skip),
  };
}

export function addedContents(json: string): string[] {
  const { added_tokens: added } = JSON.parse(json) as { added_tokens?: { content: string }[] | null };
  return (added ?? []).map(({ content }) => content);
}

async function encode(tokenizer: Tokenizer, { texts, special, places }: Texts): Promise<Encoded> {
  const whole = texts.map((text) => text.toWellFormed());
  const encodings = await tokenizer.encodeBatch(whole, { addSpecialTokens: special });
  const all = encodings.map((encoding) => encoding.getIds());
  const ends = new Int32Array(all.length);
  all.forEach((own, i) => (ends[i] = (i > 0 ? ends[i - 1]! : 0) + own.length));
  const total = ends.at(-1) ?? 0;
  const ids = new Int32Array(total);
  all.forEach((own, i) => ids.set(own, ends[i]! - own.length));
  if (places === undefined) return { ids, ends };
  const units = whole.map(unitsOf);
  if (places === 'offsets') {
    const offsets = new Int32Array(2 * total);
    encodings.forEach((encoding, i) =>
      offsets.set(offsetsOf(encoding, units[i]), 2 * (ends[i]! - all[i]!.length)),
    );
    return { ids, ends, offsets };
  }
  const trained = new Uint8Array(total);
  const faults = encodings.map((encoding, i) => {
    const own = all[i]!.length;
    try {
      trained.set(trainedTokens(whole[i]!, places[i]!, placesOf(encoding, own, units[i])), ends[i]! - own);
      return undefined;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return error.message;
    }
  });
  return { ids, ends, trained, faults };
}

/** The library hands them over as an array of two for each id, which takes as long as encoding. */
function offsetsOf(encoding: Encoding, units: Int32Array | undefined): number[] {
  const offsets = encoding.getOffsets().flat();
  return units ? offsets.map((character) => units[character]!) : offsets;
}

/** The same of the tokens that are asked for. */
function placesOf(encoding: Encoding, length: number, units: Int32Array | undefined): Places {
  return {
    length,
    at(token) {
      const [from, to] = encoding.tokenToChars(token)!;
      return units ? [units[from]!, units[to]!] : [from, to];
    },
  };
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
