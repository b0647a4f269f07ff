/** Cutting a text so that what is made of it has at most a given number of tokens. */

import type { Encoding } from './rounds.js';

/** Tokens that may be left unused, to save encodings. */
const SLACK = 1;

/**
 * The longest beginning of `text` (to within a token) for which `measure` gives `limit` at most; the text itself where it fits.
 * Undefined where even the empty text does not. `measure` grows with the text's length but for small irregularities at the cut.
 */
export function* shorten(
  text: string,
  limit: number,
  measure: (text: string) => Encoding<number>,
): Encoding<string | undefined> {
  const whole = yield* measure(text);
  if (whole <= limit) return text;
  const least = yield* measure('');
  if (least > limit) return undefined;
  // Interpolated, because tokens are spread evenly over most texts; every third step halves, because over some they are not.
  let fits = { length: 0, tokens: least };
  let over = { length: text.length, tokens: whole };
  for (let step = 1; over.length - fits.length > 1 && limit - fits.tokens > SLACK; step++) {
    const share = step % 3 === 0 ? 0.5 : (limit + 0.5 - fits.tokens) / Math.max(1, over.tokens - fits.tokens);
    const guess = fits.length + Math.round(share * (over.length - fits.length));
    const length = Math.min(Math.max(guess, fits.length + 1), over.length - 1);
    const tokens = yield* measure(beginning(text, length));
    if (tokens <= limit) fits = { length, tokens };
    else over = { length, tokens };
  }
  return beginning(text, fits.length);
}

/** The first `length` UTF-16 units, one fewer where that would cut a character in two. */
function beginning(text: string, length: number): string {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? length - 1 : length);
}
