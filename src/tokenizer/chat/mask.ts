/** From the spans of a text to its tokens. */
import { UserError } from '../../util/errors.js';
import type { ChatSpan } from './rendering.js';

/**
 * Which tokens of a chat are trained on: those of which a character stands in a span. A token may have characters of what its own turn
 * begins or ends with besides, since the template wrote them, too, and the id is one; one that has characters of another turn would train
 * on what somebody else said. All tokens of one character are trained on, or none.
 *
 * @param text without special tokens added
 * @param spans in order; those to be trained on
 * @param offsets of each token in UTF-16 units, as `encodeWithOffsets` gives them
 * @throws UserError for a token that has a part of a span and a part of what is beyond its turn
 */
export function trainedTokens(
  text: string,
  spans: readonly ChatSpan[],
  offsets: readonly (readonly [from: number, to: number])[],
): boolean[] {
  let next = 0;
  return offsets.map(([from, to]) => {
    while (next < spans.length && spans[next]!.end <= from) next++;
    const span = spans[next];
    if (!span || to <= span.start || from === to) return false;
    if (from < span.turn.start || to > span.turn.end)
      throw new UserError(
        `the tokenizer makes one token of ${JSON.stringify(text.slice(from, to))}, of which message ${span.message + 1} wrote only ` +
          `${JSON.stringify(text.slice(Math.max(from, span.start), Math.min(to, span.end)))}; give a template that parts turns by special tokens`,
      );
    return true;
  });
}
