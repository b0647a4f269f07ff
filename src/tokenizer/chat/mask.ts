/** From the spans of a text to its tokens. */
import { UserError } from '../../util/errors.js';
import type { ChatSpan } from './rendering.js';

/** Where the tokens of a text stand in it, in UTF-16 units, none before the one that it follows. An array of them is one. */
export interface Places {
  readonly length: number;
  at(token: number): readonly [from: number, to: number] | undefined;
}

/**
 * Which tokens of a chat are trained on, as 1 and 0: those of which a character stands in a span, and so all tokens of one character or
 * none. A token may have characters of its own turn around the span besides, which the template wrote and whose id they share; where these
 * are more than white space and what it has of the span is nothing else, it is the template's. One that has characters beyond the turn would
 * train on what somebody else said, and is refused.
 *
 * Only the places about a span's beginning and end are asked for: to get them takes a tokenizer longer than to make the tokens.
 *
 * @param text as it is encoded without special tokens added
 * @param spans in order; those to be trained on
 * @throws UserError for a token that has a part of a span and a part of what is beyond its turn
 */
export function trainedTokens(text: string, spans: readonly ChatSpan[], places: Places): Uint8Array {
  const trained = new Uint8Array(places.length);
  let next = 0;
  /** Looks at each token from the next on that begins before the unit. */
  const across = (unit: number, span: ChatSpan): void => {
    for (; next < places.length; next++) {
      const [from, to] = placeOf(places, next);
      if (from >= unit) break;
      trained[next] = isLearnt(text, span, from, to) ? 1 : 0;
    }
  };
  for (const span of spans) {
    next = firstBeyond(places, next, span.start);
    across(span.start, span);
    const end = firstBeyond(places, next, span.end);
    trained.fill(1, next, end);
    next = end;
    across(span.end, span);
  }
  return trained;
}

/** With the white space before it that some tokenizers leave out. */
function placeOf(places: Places, token: number): readonly [from: number, to: number] {
  const [from, to] = places.at(token)!;
  return [Math.min(from, token > 0 ? places.at(token - 1)![1] : 0), to];
}

/** The first token, `low` or a later one, of which something stands behind the unit. */
function firstBeyond(places: Places, low: number, unit: number): number {
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places.at(middle)![1] > unit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Of a token that stands across a border of the span. */
function isLearnt(text: string, { message, start, end, turn }: ChatSpan, from: number, to: number): boolean {
  const around = text.slice(from, Math.max(from, start)) + text.slice(Math.min(to, end), to);
  const within = text.slice(Math.max(from, start), Math.min(to, end));
  if (within.trim() === '' && around.trim() !== '') return false;
  if (turn.start <= from && to <= turn.end) return true;
  throw new UserError(
    `the tokenizer makes one token of ${JSON.stringify(text.slice(from, to))}, of which message ${message + 1} has only ` +
      `${JSON.stringify(within)}; give a template that parts turns by special tokens`,
  );
}
