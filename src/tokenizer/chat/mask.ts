/** From the spans of a text to its tokens. */
import { UserError } from '../../util/errors.js';
import type { ChatSpan } from './rendering.js';

/**
 * Which tokens of a chat are trained on: those of which a character stands in a span, and so all tokens of one character or none. A token
 * may have characters of its own turn around the span besides, which the template wrote and whose id they share; where these are more than
 * white space and what it has of the span is nothing else, it is the template's. One that has characters beyond the turn would train on
 * what somebody else said, and is refused.
 *
 * @param text as it is encoded without special tokens added
 * @param spans in order; those to be trained on
 * @param offsets of each token in UTF-16 units, as `encodeWithOffsets` gives them
 * @throws UserError for a token that has a part of a span and a part of what is beyond its turn
 */
export function trainedTokens(
  text: string,
  spans: readonly ChatSpan[],
  offsets: readonly (readonly [from: number, to: number])[],
): boolean[] {
  let [next, read] = [0, 0];
  return offsets.map(([begins, to]) => {
    // Some tokenizers leave the white space out that a token begins with.
    const from = Math.min(begins, read);
    read = Math.max(read, to);
    while (next < spans.length && spans[next]!.end <= from) next++;
    const span = spans[next];
    if (!span || to <= span.start || from >= to) return false;
    const { start, end, turn } = span;
    if (start <= from && to <= end) return true;
    const around = text.slice(from, Math.max(from, start)) + text.slice(Math.min(to, end), to);
    const within = text.slice(Math.max(from, start), Math.min(to, end));
    if (within.trim() === '' && around.trim() !== '') return false;
    if (turn.start <= from && to <= turn.end) return true;
    throw new UserError(
      `the tokenizer makes one token of ${JSON.stringify(text.slice(from, to))}, of which message ${span.message + 1} has only ` +
        `${JSON.stringify(within)}; give a template that parts turns by special tokens`,
    );
  });
}
