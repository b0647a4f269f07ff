/**
 * Which of a rendered conversation an assistant wrote: what a model has to write to say its turn. A template's authors say it by
 * `{% generation %}` marks; else it is derived and then proven, by rendering the conversation otherwise.
 *
 * A turn is what a round of the template's loop over the messages writes. Of it the model is given how the template begins every turn: as
 * far as the prompt for it (the messages before, with the generation prompt) goes, and no further than an answer that says nothing agrees.
 * The rest, with what ends the turn, is the span. Proven is that the text outside of the spans is the same whatever the assistant says,
 * and the spans' text whatever the others say. What cannot be proven is refused.
 */
import { UserError } from '../../util/errors.js';
import type { ChatTemplate, RenderOptions, Trace, Written, WrittenFor } from '../jinja/index.js';
import { named, type Message } from './messages.js';
import {
  answeredBy,
  answeredOtherwise,
  askedOtherwise,
  ASSISTANT,
  NONCHARACTERS,
  STAND_INS,
  standIn,
} from './probes.js';
import { turnsOf, type Turns } from './turns.js';

/** What an assistant wrote, in UTF-16 units of the text, the end excluded. */
export interface ChatSpan extends WrittenFor {
  /** All that the template wrote for the message: the span, what stands before it and what may stand behind it. */
  readonly turn: Written;
}

/** A rendering and what it wrote for whom. */
interface Rendered {
  readonly text: string;
  readonly turns: Turns;
}

const MEND =
  'mark what it writes for the assistant by {% generation %} and {% endgeneration %} in the template';

/** By the marks of the template's authors, in order; what touches and is of one message is one span. */
export function markedSpans(template: ChatTemplate, messages: readonly Message[], trace: Trace): ChatSpan[] {
  const refused = (why: string): UserError => new UserError(`${template.path}: ${why}`);
  if (trace.isHidden.mark)
    throw refused('{% generation %} stands within a macro or a block that is written elsewhere');
  const turns = turnsOf(trace);
  const spans: ChatSpan[] = [];
  for (const { message, start, end } of [...trace.marks].sort((a, b) => a.start - b.start)) {
    if (message === undefined) throw refused('{% generation %} stands outside of a loop over the messages');
    const last = spans.at(-1);
    const turn = turns.get(message)?.find((piece) => piece.start <= start && end <= piece.end);
    if (!turn || (last && start < last.end))
      throw refused(`the {% generation %} marks of ${named(messages, message)} go across others`);
    if (last?.message === message && last.end === start) spans[spans.length - 1] = { ...last, end };
    else spans.push({ message, start, end, turn });
  }
  return spans;
}

/** A template, its variables but messages and generation prompt, and how it is rendered. */
export interface Rendering {
  readonly template: ChatTemplate;
  readonly context: Readonly<Record<string, unknown>>;
  readonly options: RenderOptions;
}

/**
 * By rendering; see above.
 * @throws UserError that names the message where its turn cannot be told apart
 */
export function derivedSpans(
  rendering: Rendering,
  messages: readonly Message[],
  given: { readonly text: string; readonly trace: Trace },
): ChatSpan[] {
  return new Derivation(rendering, messages, given).spans();
}

class Derivation {
  readonly #rendered: Rendered;
  readonly #otherwise: readonly Message[];
  /** With answers of a text alone, and with such as say nothing. */
  readonly #bare: readonly (Rendered | undefined)[];

  constructor(
    private readonly rendering: Rendering,
    private readonly messages: readonly Message[],
    { text, trace }: { readonly text: string; readonly trace: Trace },
  ) {
    this.#rendered = { text, turns: turnsOf(trace) };
    this.#otherwise = answeredOtherwise(messages);
    this.#bare = [standIn, () => ''].map((text) => this.#render(answeredBy(text, messages)));
  }

  spans(): ChatSpan[] {
    const { messages } = this;
    const { text, turns } = this.#rendered;
    const answers = messages.flatMap(({ role }, i) => (role === ASSISTANT ? [i] : []));
    if (answers.length === 0) return [];
    if (NONCHARACTERS.test(text))
      throw this.#refused(answers[0]!, 'the text has noncharacters (U+FDD0 to U+FDD2)');
    const probe = this.#tried(answers[0]!, this.#otherwise, 'with another answer');
    const probed: ChatSpan[] = [];
    const spans: ChatSpan[] = [];
    for (const i of answers) {
      const turn = this.#only(turns, i);
      const other = this.#only(probe.turns, i);
      if (!other) {
        if (turn) throw this.#refused(i, 'it is written or not by what it says');
        continue;
      }
      const start = this.#start(i, probe, other);
      const header = probe.text.slice(other.start, start);
      probed.push({ message: i, start: turn ? start : other.start, end: other.end, turn: other });
      if (!turn) continue;
      if (!text.startsWith(header, turn.start) || turn.start + header.length > turn.end)
        throw this.#refused(i, `it does not begin with ${shown(header)}, as others do`);
      spans.push({ message: i, start: turn.start + header.length, end: turn.end, turn });
    }
    this.#proveOutside(spans, probe.text, probed);
    this.#proveInside(spans);
    return spans;
  }

  /** Where in the probe a turn's answer begins: how far the model is given it. */
  #start(i: number, probe: Rendered, turn: Written): number {
    const said = probe.text.slice(turn.start, turn.end);
    const at = said.indexOf(standIn(i));
    const before = at < 0 ? undefined : said.slice(0, at);
    const most = turn.start + (before === undefined ? said.length : this.#constant(i, before));
    const asked = this.#asked(i, probe, turn, most);
    if (asked !== undefined && (asked > turn.start || before === '')) return asked;
    // Nothing comes before, or no prompt does there: as a user's question is answered.
    const prompt = this.#usualPrompt();
    if (asked !== undefined && prompt === '') return asked;
    const found = prompt === undefined || prompt === '' ? -1 : (before ?? said).indexOf(prompt);
    if (found >= 0) return Math.min(turn.start + found + prompt!.length, most);
    if (before === '') return turn.start;
    throw this.#refused(
      i,
      'nothing tells where the beginning that the template writes ends and the answer begins',
    );
  }

  /** Units of what stands before a content that stand there for an answer that says nothing, too. */
  #constant(i: number, before: string): number {
    const [text, nothing] = this.#bare.map((rendered) => {
      const turn = rendered && this.#only(rendered.turns, i);
      return turn && rendered.text.slice(turn.start, turn.end);
    });
    if (text === undefined || nothing === undefined) return before.length;
    const behind = text.slice(text.lastIndexOf(standIn(i)) + standIn(i).length);
    const head = nothing.slice(0, Math.max(0, nothing.length - behind.length));
    return nothing === head + behind && before.startsWith(head) ? head.length : before.length;
  }

  /** Where the prompt for a turn ends in the probe, `most` at most; undefined where the messages before have none. */
  #asked(i: number, probe: Rendered, turn: Written, most: number): number | undefined {
    const before = this.#otherwise.slice(0, i);
    const prompt = i === 0 ? undefined : this.#render(before, true)?.text;
    if (prompt === undefined) return undefined;
    const whole = Math.min(prompt.length, most);
    if (common(prompt, 0, probe.text, 0) >= whole) return Math.max(whole, turn.start);
    // The messages before are written otherwise where others follow: what is compared begins behind the last of them.
    const alone = this.#render(before);
    const ends = Array.from(alone?.turns ?? [], ([message, pieces]) => ({
      message,
      end: pieces.at(-1)!.end,
    }));
    const last = ends.sort((a, b) => a.end - b.end).at(-1);
    if (!alone || !last) return undefined;
    const from = probe.turns.get(last.message)?.at(-1)?.end ?? turn.start;
    const asked = Math.min(prompt.length - last.end, most - from);
    const same =
      prompt.startsWith(alone.text.slice(0, last.end)) && common(prompt, last.end, probe.text, from) >= asked;
    if (!same)
      throw this.#refused(
        i,
        `it is asked for by ${shown(prompt.slice(last.end))}, but begins with ${shown(probe.text.slice(from, most))}`,
      );
    return Math.max(from + asked, turn.start);
  }

  /** What the template writes to have a user answered. */
  #usualPrompt(): string | undefined {
    const question = [{ role: 'user', content: standIn(0) }];
    const [alone, asking] = [this.#render(question), this.#render(question, true)];
    const end = alone?.turns.get(0)?.at(-1)?.end;
    if (!asking || end === undefined || !asking.text.startsWith(alone!.text.slice(0, end))) return undefined;
    return asking.text.slice(end);
  }

  #proveOutside(spans: readonly ChatSpan[], probeText: string, probed: readonly ChatSpan[]): void {
    const [own, others] = [outside(this.#rendered.text, spans), outside(probeText, probed)];
    // A turn that is not written at all leaves what is around it in one piece.
    if (own.join('') !== others.join('')) {
      const at = own.findIndex((piece, k) => piece !== others[k]);
      const { message } = spans[Math.min(Math.max(at, 0), spans.length - 1)] ?? probed[0]!;
      throw this.#refused(message, 'the text around it depends on what it says');
    }
    for (const { message, start, end } of probed)
      for (const [, other] of probeText.slice(start, end).matchAll(STAND_INS))
        if (Number(other) !== message)
          throw this.#refused(message, `it has what ${named(this.messages, Number(other))} says`);
  }

  #proveInside(spans: readonly ChatSpan[]): void {
    if (spans.length === 0) return;
    const { text } = this.#rendered;
    const asked = this.#tried(spans[0]!.message, askedOtherwise(this.messages), 'with another question');
    for (const { message, end, turn } of spans) {
      const other = this.#only(asked.turns, message);
      const same = other && asked.text.slice(other.start, other.end).endsWith(text.slice(turn.start, end));
      if (!same) throw this.#refused(message, 'what is written for it depends on what others say');
    }
  }

  /** A message's one piece of text. */
  #only(turns: Turns, i: number): Written | undefined {
    const pieces = turns.get(i) ?? [];
    if (pieces.length > 1) throw this.#refused(i, `it is written in ${pieces.length} places`);
    return pieces[0];
  }

  #tried(i: number, messages: readonly Message[], what: string): Rendered {
    const rendered = this.#render(messages);
    if (!rendered) throw this.#refused(i, `${what} in its place the template fails`);
    return rendered;
  }

  /** Undefined where the template does not take the messages. */
  #render(messages: readonly Message[], asking = false): Rendered | undefined {
    try {
      const { template, context, options } = this.rendering;
      const { text, trace } = template.trace(
        { ...context, messages, add_generation_prompt: asking },
        options,
      );
      return { text, turns: turnsOf(trace) };
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }

  #refused(i: number, why: string): UserError {
    return new UserError(
      `${this.rendering.template.path}: ${named(this.messages, i)} cannot be told apart: ${why}; ${MEND}`,
    );
  }
}

/** Units that are the same from two places on. */
function common(a: string, atA: number, b: string, atB: number): number {
  let n = 0;
  while (atA + n < a.length && atB + n < b.length && a[atA + n] === b[atB + n]) n++;
  return n;
}

function outside(text: string, spans: readonly Written[]): string[] {
  const ends = [0, ...spans.map(({ end }) => end)];
  return ends.map((end, k) => text.slice(end, spans[k]?.start));
}

const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
