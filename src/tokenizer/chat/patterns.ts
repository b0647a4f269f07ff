/**
 * Spans of the many conversations that differ in what is said alone. Those of one are derived, with a placeholder for each content; a text
 * that is the same but for its contents in their places has the same spans there, which is proof by itself. Others are derived each.
 */
import type { Message } from './messages.js';
import { unlessRefused, type ChatSpan } from './rendering.js';

/** A conversation's text, and the spans that are derived of it. */
export interface Pattern {
  readonly text: string;
  readonly spans: readonly ChatSpan[];
}

/** Between its text: `\ufdd3`, a message's number, `\ufdd4`. Noncharacters other than those of probes. */
const PLACEHOLDER = /\ufdd3(\d+)\ufdd4/g;

const MOST_PATTERNS = 1024;

/** Of one template. */
export class Patterns {
  /** By roles and tools; undefined where nothing can be derived. */
  readonly #known = new Map<string, Pattern | undefined>();

  /**
   * Undefined for a conversation that is no pattern's.
   * @param derive the pattern of a conversation; throws UserError for one that is refused
   */
  spans(
    text: string,
    messages: readonly Message[],
    tools: unknown,
    derive: (messages: readonly Message[]) => Pattern,
  ): ChatSpan[] | undefined {
    const contents = messages.map(({ content }) => content);
    if (!contents.every((content) => typeof content === 'string')) return undefined;
    const key = JSON.stringify([messages.map(({ role }) => role), tools]);
    if (!this.#known.has(key)) {
      if (this.#known.size >= MOST_PATTERNS) this.#known.clear();
      const blank = messages.map(({ role }, i) => ({ role, content: `\ufdd3${i}\ufdd4` }));
      this.#known.set(
        key,
        unlessRefused(() => derive(blank)),
      );
    }
    const pattern = this.#known.get(key);
    return pattern && placed(pattern, text, contents);
  }
}

/** The pattern's spans in a text of its kind. */
function placed(
  { text: blank, spans }: Pattern,
  text: string,
  contents: readonly string[],
): ChatSpan[] | undefined {
  /** Where a literal piece begins in the pattern, and how much further in the text. */
  const moves: { from: number; by: number }[] = [{ from: 0, by: 0 }];
  let [read, at] = [0, 0];
  for (const match of blank.matchAll(PLACEHOLDER)) {
    const literal = blank.slice(read, match.index);
    if (!text.startsWith(literal, at)) return undefined;
    at += literal.length;
    read = match.index + match[0].length;
    const next = blank.slice(read, read + 1);
    const content = contents[Number(match[1])]!;
    const written = [content, content.trim()].find(
      (said) => text.startsWith(said, at) && text.startsWith(next, at + said.length),
    );
    if (written === undefined) return undefined;
    at += written.length;
    moves.push({ from: read, by: at - read });
  }
  if (text.slice(at) !== blank.slice(read)) return undefined;
  let k = 0;
  const moved = (position: number): number => {
    while (k > 0 && moves[k]!.from > position) k--;
    while (k + 1 < moves.length && moves[k + 1]!.from <= position) k++;
    return position + moves[k]!.by;
  };
  return spans.map(({ message, start, end, turn }) => ({
    message,
    start: moved(start),
    end: moved(end),
    turn: { start: moved(turn.start), end: moved(turn.end) },
  }));
}
