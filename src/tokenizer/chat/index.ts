/** A conversation laid out by a chat template, with the spans that an assistant wrote. */
import { UserError } from '../../util/errors.js';
import { ChatTemplate, type RenderOptions } from '../jinja/index.js';
import { prepared, type Message } from './messages.js';
import { standIn } from './probes.js';
import { derivedSpans, markedSpans, type ChatSpan } from './spans.js';

export { CHATML } from './chatml.js';
export type { ContentPart, Message } from './messages.js';
export { trainedTokens } from './mask.js';
export type { ChatSpan } from './spans.js';

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
  #takesParts: boolean | undefined;

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
    const messages = prepared(conversation, this.takesParts);
    const context = this.#context(messages, tools);
    // Templates tell the time: all renderings are of one.
    const options = { ...this.#render, now: this.#render.now ?? new Date() };
    const given = this.#template.trace(context, options);
    const spans = this.#template.isMarked
      ? markedSpans(this.#template, messages, given.trace)
      : derivedSpans({ template: this.#template, context, options }, messages, given);
    if (!addGenerationPrompt) return { text: given.text, spans };
    const text = this.#template.render({ ...context, add_generation_prompt: true }, options);
    if (!text.startsWith(given.text.slice(0, spans.at(-1)?.end)))
      throw new UserError(
        `${this.#template.path}: with a generation prompt the template writes the messages before it otherwise`,
      );
    return { text, spans };
  }

  /** Whether a content of parts is for the template what their text is; one that takes text alone gets it. */
  get takesParts(): boolean {
    return (this.#takesParts ??= this.#isSame(standIn(0), [{ type: 'text', text: standIn(0) }]));
  }

  #isSame(...contents: readonly Message['content'][]): boolean {
    try {
      const [text, ...others] = contents.map((content) =>
        this.#template.render(
          this.#context([
            { role: 'user', content },
            { role: 'assistant', content },
          ]),
          this.#render,
        ),
      );
      return others.every((other) => other === text);
    } catch (error) {
      if (error instanceof UserError) return false;
      throw error;
    }
  }

  #context(messages: readonly Message[], tools?: readonly object[]): Readonly<Record<string, unknown>> {
    return {
      ...this.#special,
      messages,
      tools: tools ?? null,
      documents: null,
      add_generation_prompt: false,
    };
  }
}
