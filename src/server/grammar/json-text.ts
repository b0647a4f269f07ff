/**
 * Which tokens leave an answer the text of JSON, where the library's grammars would let others through. Of a character they hold the first
 * byte to its length and the rest to being any that go on; but some such bytes are no character (The Unicode Standard, table 3-7): a decoder
 * shows signs in their place, and may take what stands behind them, the end of a string, along. And strings whose length is told have
 * control characters, which JSON writes as escapes alone (RFC 8259, section 7).
 */

import type { GrammarTokens } from './protocol.js';

/** What must follow a first byte directly; all others are followed by 0x80 to 0xBF. */
const SECOND: ReadonlyMap<number, readonly [least: number, most: number]> = new Map([
  [0xe0, [0xa0, 0xbf]],
  [0xed, [0x80, 0x9f]],
  [0xf0, [0x90, 0xbf]],
  [0xf4, [0x80, 0x8f]],
]);

/** Answers are of one line, so that no control character stands between values either. */
const isNone = (byte: number): boolean => byte < 0x20 || byte === 0xc0 || byte === 0xc1 || byte > 0xf4;

const isRefused = (first: number, second: number): boolean => {
  const [least, most] = SECOND.get(first) ?? [0, 255];
  return second < least || second > most;
};

/** Of one tokenizer. */
export class JsonText {
  /** Tokens that no text has. */
  private readonly never: number[] = [];
  /** By a first byte that stands last so far: tokens that may not follow. */
  private readonly behind = new Map<number, number[]>();
  /** Tokens that end in such a first byte. */
  private readonly opening = new Map<number, number>();

  constructor({ tokens, spelling }: GrammarTokens) {
    for (const first of SECOND.keys()) this.behind.set(first, []);
    const bytesOf = spelling === 'byte_level' ? byteLevel() : byteFallback;
    for (const [id, token] of tokens.entries()) {
      const bytes = bytesOf(token);
      if (bytes.some((byte, i) => isNone(byte) || (i > 0 && isRefused(bytes[i - 1]!, byte))))
        this.never.push(id);
      for (const [first, refused] of this.behind)
        if (bytes.length > 0 && isRefused(first, bytes[0]!)) refused.push(id);
      const last = bytes.at(-1);
      if (last !== undefined && SECOND.has(last)) this.opening.set(id, last);
    }
  }

  /** Takes out of a mask what may not follow `token`, the last one; undefined: nothing stands there. */
  forbid(mask: Int32Array, token: number | undefined): void {
    const first = token === undefined ? undefined : this.opening.get(token);
    const refused = first === undefined ? this.never : [...this.never, ...this.behind.get(first)!];
    for (const id of refused) mask[id >> 5]! &= ~(1 << (id & 31));
  }
}

/** SentencePiece's: a byte by its number, or whole characters. */
function byteFallback(token: string): number[] {
  const [, hex] = /^<0x([0-9A-Fa-f]{2})>$/.exec(token) ?? [];
  return hex === undefined ? [...Buffer.from(token)] : [parseInt(hex, 16)];
}

/** GPT-2's: each byte a character, those that are printed themselves. */
function byteLevel(): (token: string) => number[] {
  const bytes = new Map<string, number>();
  let more = 0;
  for (let byte = 0; byte < 256; byte++) {
    const isPrinted = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    bytes.set(String.fromCharCode(isPrinted ? byte : 256 + more++), byte);
  }
  return (token) => {
    const found = Array.from(token, (character) => bytes.get(character));
    // A token that was added is its text.
    return found.every((byte) => byte !== undefined) ? found : [...Buffer.from(token)];
  };
}
