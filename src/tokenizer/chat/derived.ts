/**
 * Which of a rendered conversation an assistant wrote, where the template's authors do not mark it: derived, and then proven, by rendering
 * the conversation otherwise.
 *
 * A turn is what a round of the template's loop over the messages writes. Of it the model is given how the template begins every turn: as
 * far as the prompt for it goes (the messages before, with the generation prompt), and no further than an answer that says nothing agrees.
 * The rest, with what ends the turn, is the span: what a model has to write to say it. Proven is that the text outside of the spans is the
 * same whatever the assistant says, and that of a span whatever the others say. What cannot be proven is refused.
 */
import type { UserError } from '../../util/errors.js';
import type { Written } from '../jinja/index.js';
import { ASKING, ASSISTANT, named, type Message } from './messages.js';
import {
  answeredBy,
  answeredOtherwise,
  askedOtherwise,
  inFormOf,
  NONCHARACTERS,
  STAND_INS,
  standIn,
  thinking,
} from './probes.js';
import { attempted, refusal, type ChatSpan, type Rendered, type Rendering } from './rendering.js';
import type { Turns } from './turns.js';

/**
 * In order, one for each assistant message that is written.
 * @param given the messages without a generation prompt
 * @throws UserError that names the message where its turn cannot be told apart
 */
export function derivedSpans(
  rendering: Rendering,
  messages: readonly Message[],
  given: Rendered,
): ChatSpan[] {
  const answers = messages.flatMap(({ role }, i) => (role === ASSISTANT ? [i] : []));
  if (answers.length === 0) return [];
  return new Derivation(rendering, messages, given, answers).spans();
}

/** With the end token of the whole text, where that stands behind the turn that ends it: the model has to write it, too. */
export function endedBy(token: unknown, text: string, spans: readonly ChatSpan[]): ChatSpan[] {
  return spans.map((span) => {
    const end = typeof token === 'string' ? span.end + token.length : span.end;
    if (end !== text.length || !text.endsWith(String(token))) return span;
    return { ...span, end, turn: { ...span.turn, end } };
  });
}

class Derivation {
  /** With other answers. */
  readonly #otherwise: readonly Message[];
  readonly #probe: Rendered;
  /** With answers of a text alone, with such as say nothing, and with such as think before. */
  readonly #others: readonly (Rendered | undefined)[];

  constructor(
    private readonly rendering: Rendering,
    private readonly messages: readonly Message[],
    private readonly given: Rendered,
    private readonly answering: readonly number[],
  ) {
    if (NONCHARACTERS.test(given.text))
      throw this.#refused(answering[0]!, 'the text has noncharacters, U+FDD0 to U+FDD2');
    this.#otherwise = answeredOtherwise(messages);
    this.#probe = this.#tried(this.#otherwise, 'with another answer');
    const others = [answeredBy(standIn, messages), answeredBy(() => '', messages), thinking(this.#otherwise)];
    this.#others = others.map((other) => attempted(rendering, other));
  }

  spans(): ChatSpan[] {
    const { text, turns } = this.given;
    const spans: ChatSpan[] = [];
    const probed: ChatSpan[] = [];
    for (const message of this.answering) {
      const [turn, other] = [this.#only(turns, message), this.#only(this.#probe.turns, message)];
      if (!other) throw this.#refused(message, NO_LOOP);
      // Where an answer is not written at all, another one is with all that belongs to it.
      const header = turn ? this.#header(message, other, text.slice(turn.start, turn.end)) : 0;
      probed.push({ message, start: other.start + header, end: other.end, turn: other });
      if (turn) spans.push({ message, start: turn.start + header, end: turn.end, turn });
    }
    this.#proveOutside(spans, probed);
    // An answer that goes on in the next message may be none at all.
    return this.#provenInside(spans).filter(({ start, end }) => end > start);
  }

  /** Units at a turn's beginning that the model is given: of the probe's turn, as far as the text's own agrees. */
  #header(i: number, turn: Written, own: string): number {
    const said = this.#probe.text.slice(turn.start, turn.end);
    const [before] = said.split(standIn(i)) as [string];
    const most = this.#constant(i, before);
    const asked = this.#asked(this.#otherwise.slice(0, i), this.#probe, turn, turn.start + most);
    // Where nothing comes before, or no prompt there: as a user's question is answered.
    const header = asked || before === '' ? (asked ?? 0) : this.#usualHeader(i, before, asked);
    const given = said.slice(0, Math.min(header, most));
    return agreeing(given, common(given, own));
  }

  /** Units of what stands before a content that stand there for answers that think or say nothing, too. */
  #constant(i: number, before: string): number {
    const [text, nothing, thoughtful] = this.#others.map((other) => {
      const turn = other && this.#only(other.turns, i);
      return turn && other.text.slice(turn.start, turn.end);
    });
    let n = before.length;
    const [head, behind] = text?.split(standIn(i)) ?? [];
    if (head !== undefined && behind !== undefined && nothing?.endsWith(behind)) {
      const begins = nothing.slice(0, nothing.length - behind.length);
      if (head.startsWith(begins) && before.startsWith(begins)) n = begins.length;
    }
    const [thought] = thoughtful?.split(standIn(i)) ?? [before];
    return Math.min(n, agreeing(before, common(before, thought!)));
  }

  /**
   * Units of a turn that the prompt for it has, as far as `end` of the text; undefined where the messages before have no prompt, or are
   * written otherwise in it.
   */
  #asked(
    before: readonly Message[],
    { text, turns }: Rendered,
    turn: Written,
    end: number,
  ): number | undefined {
    let prompt = before.length === 0 ? undefined : attempted(this.rendering, before, true)?.text;
    if (prompt === undefined) return undefined;
    let from = 0;
    let same = common(prompt, text);
    if (same < turn.start && same < prompt.length) {
      // The messages before are written otherwise where others follow: what is compared begins behind the last of them.
      const alone = attempted(this.rendering, before);
      const last = alone && lastOf(alone.turns);
      if (!last || !prompt.startsWith(alone.text.slice(0, last.end))) return undefined;
      prompt = prompt.slice(last.end);
      from = turns.get(last.message)?.at(-1)?.end ?? turn.start;
      same = common(prompt, text.slice(from));
      if (from + same < turn.start && same < prompt.length) return undefined;
    }
    const begins = text.slice(turn.start, end);
    const given = Math.max(0, Math.min(from + same, end) - turn.start);
    if (same === prompt.length || given === begins.length) return given;
    // Some templates are indented, and have other white space before a prompt than before a turn.
    const words = prompt.slice(same).trim();
    const at = words !== '' && begins.slice(0, given).trim() === '' ? begins.indexOf(words) : -1;
    if (at < 0) return agreeing(begins, given);
    const rest = prompt.slice(prompt.lastIndexOf(words) + words.length);
    return at + words.length + common(rest, begins.slice(at + words.length));
  }

  /** Units that a message's turn begins with, with what the template begins its answer to a user with; `asked` where that is nothing. */
  #usualHeader(i: number, before: string, asked: number | undefined): number {
    const { content } = this.messages[i]!;
    const question = { role: ASKING, content: inFormOf(content, standIn(i + 1)) };
    const answer = { role: ASSISTANT, content: inFormOf(content, standIn(i)) };
    const probe = attempted(this.rendering, [question, answer]);
    const turn = probe?.turns.get(1)?.[0];
    const end = turn ? probe.text.indexOf(standIn(i), turn.start) : -1;
    const length = end < 0 ? undefined : this.#asked([question], probe!, turn!, end);
    if (length === 0 && asked === 0) return 0;
    const header = length ? probe!.text.slice(turn!.start, turn!.start + length) : undefined;
    const at = header === undefined ? -1 : before.indexOf(header);
    if (at < 0) throw this.#refused(i, NO_PROMPT);
    return at + header!.length;
  }

  /** The text outside of the spans, which has to be the same whatever is said within them. */
  #proveOutside(spans: readonly ChatSpan[], probed: readonly ChatSpan[]): void {
    const written = new Set(spans.map(({ message }) => message));
    const own = outside(this.given.text, spans, written);
    const others = outside(this.#probe.text, probed, written);
    const at = own.findIndex((piece, k) => piece !== others[k]);
    if (at >= 0) {
      const { message } = spans[Math.min(at, spans.length - 1)] ?? probed[0]!;
      throw this.#refused(message, 'the text around it depends on what it says');
    }
    for (const { message, start, end } of probed)
      for (const [, other] of this.#probe.text.slice(start, end).matchAll(STAND_INS))
        if (Number(other) !== message)
          throw this.#refused(message, `it has what ${named(this.messages, Number(other))} says`);
  }

  /** The spans, whose text has to be the same whatever others say; with as much of the turn before them as is. */
  #provenInside(spans: readonly ChatSpan[]): ChatSpan[] {
    if (spans.length === 0) return [];
    const asked = this.#tried(askedOtherwise(this.messages), 'with another question');
    return spans.map((span) => {
      const { message, start, end, turn } = span;
      const own = this.given.text.slice(turn.start, end);
      const piece = this.#only(asked.turns, message);
      const other = piece ? asked.text.slice(piece.start, piece.end) : '';
      let same = 0;
      while (same < own.length && own.at(-1 - same) === other.at(-1 - same)) same++;
      if (same < end - start)
        throw this.#refused(message, 'what is written for it depends on what others say');
      return { ...span, turn: { ...turn, start: end - same } };
    });
  }

  /** A message's one piece of text. */
  #only(turns: Turns, i: number): Written | undefined {
    const pieces = turns.get(i) ?? [];
    if (pieces.length > 1) throw this.#refused(i, `it is written in ${pieces.length} places`);
    return pieces[0];
  }

  #tried(messages: readonly Message[], what: string): Rendered {
    const rendered = attempted(this.rendering, messages);
    if (!rendered) throw this.#refused(this.answering[0]!, `${what} in its place the template fails`);
    return rendered;
  }

  #refused(i: number, why: string): UserError {
    return refusal(this.rendering, this.messages, i, why);
  }
}

const NO_LOOP =
  'the template writes it not at all, outside of a loop over the messages, or in a block that it puts elsewhere';
const NO_PROMPT = 'nothing tells where the beginning that the template writes ends and the answer begins';

/** Units that two texts have in common from their beginnings. */
function common(a: string, b: string): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

/** `n`, to which a beginning agrees with another or, where it goes on, the beginning of the tag that `n` stands in. */
function agreeing(text: string, n: number): number {
  return n === text.length ? n : text.slice(0, n).replace(/[<[][^<>[\]]*$/, '').length;
}

/** The message that is written last. */
function lastOf(turns: Turns): { message: number; end: number } | undefined {
  const ends = Array.from(turns, ([message, pieces]) => ({ message, end: pieces.at(-1)!.end }));
  return ends.sort((a, b) => a.end - b.end).at(-1);
}

/** The pieces around spans; around those that are not `written` in one piece. */
function outside(text: string, spans: readonly ChatSpan[], written: ReadonlySet<number>): string[] {
  const pieces: string[] = [];
  let [at, before] = [0, ''];
  for (const { message, start, end } of spans) {
    before += text.slice(at, start);
    at = end;
    if (!written.has(message)) continue;
    pieces.push(before);
    before = '';
  }
  return [...pieces, before + text.slice(at)];
}
