/** A conversation laid out by a chat template, with the spans that an assistant wrote. */
import { UserError } from '../../util/errors.js';
import { ChatTemplate, type RenderOptions } from '../jinja/index.js';
import { derivedSpans, endedBy } from './derived.js';
import { markedSpans } from './marked.js';
import { ASKING, ASSISTANT, prepared, type ContentForm, type Message } from './messages.js';
import { standIn } from './probes.js';
import { Patterns, type Pattern } from './patterns.js';
import { attempted, rendered, type ChatSpan } from './rendering.js';
import { checkSaid } from './said.js';

export { CHATML } from './chatml.js';
export type { Message } from './messages.js';
export { trainedTokens } from './mask.js';

export interface ChatOptions {
  /** JSON schemas of functions, for templates that offer them. */
  readonly tools?: readonly object[] | undefined;
  /** Ends the text with what an answer follows; no span has it. The default is false. */
  readonly addGenerationPrompt?: boolean | undefined;
}

export interface RenderedChat {
  /** To be encoded without adding special tokens, it has its own. */
  readonly text: string;
  /** In order, and apart from each other: one for each assistant message that the template writes, several where its authors mark so. */
  readonly spans: readonly ChatSpan[];
}

/** A template, for many conversations. */
export class ChatRenderer {
  readonly #template: ChatTemplate;
  readonly #special: Readonly<Record<string, unknown>>;
  readonly #render: RenderOptions;
  readonly #patterns = new Patterns();
  #knownForm: ContentForm | undefined;

  /** `special`: the special tokens' texts, by the names that templates know. */
  constructor(
    template: ChatTemplate,
    special: Readonly<Record<string, unknown>>,
    render: RenderOptions = {},
  ) {
    this.#template = template;
    this.#special = special;
    this.#render = render;
  }

  /** @throws UserError where the template refuses the messages, or a turn of the assistant's cannot be told apart */
  render(
    conversation: readonly Message[],
    { tools, addGenerationPrompt = false }: ChatOptions = {},
  ): RenderedChat {
    const messages = prepared(conversation, this.form);
    // Templates tell the time: all renderings are of one.
    const options = { ...this.#render, now: this.#render.now ?? new Date() };
    const rendering = { template: this.#template, context: this.#context(tools), options };
    const whole = rendered(rendering, messages, addGenerationPrompt);
    const { text } = whole;
    if (this.#template.isMarked) {
      checkSaid(rendering, messages, whole);
      return { text, spans: markedSpans(rendering, messages, whole) };
    }
    const given = addGenerationPrompt ? rendered(rendering, messages) : whole;
    const derived = (of: readonly Message[], written = rendered(rendering, of)): Pattern => {
      checkSaid(rendering, of, written);
      return { text: written.text, spans: derivedSpans(rendering, of, written) };
    };
    const spans =
      this.#patterns.spans(given.text, messages, tools, derived) ?? derived(messages, given).spans;
    if (!addGenerationPrompt) return { text, spans: endedBy(this.#special['eos_token'], text, spans) };
    if (!text.startsWith(given.text.slice(0, spans.at(-1)?.end)))
      throw new UserError(
        `${this.#template.path}: before a generation prompt the template writes the messages otherwise`,
      );
    return { text, spans };
  }

  /** As text, in parts, or either where a content of one part is for the template what its text is. */
  get form(): ContentForm {
    if (this.#knownForm) return this.#knownForm;
    const text = this.#tried(standIn(0));
    const parts = this.#tried([{ type: 'text', text: standIn(0) }]);
    const isWritten = (written: string | undefined): boolean => written?.split(standIn(0)).length === 3;
    if (isWritten(text)) this.#knownForm = text === parts ? 'either' : 'text';
    else this.#knownForm = isWritten(parts) ? 'parts' : 'text';
    return this.#knownForm;
  }

  /** What a question and its answer become; undefined where the template does not take them. */
  #tried(content: Message['content']): string | undefined {
    const messages = [ASKING, ASSISTANT].map((role) => ({ role, content }));
    const rendering = { template: this.#template, context: this.#context(), options: this.#render };
    return attempted(rendering, messages)?.text;
  }

  #context(tools?: readonly object[]): Readonly<Record<string, unknown>> {
    return { ...this.#special, tools: tools ?? null, documents: null };
  }
}
