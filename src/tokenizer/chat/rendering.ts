/** A template's text of a conversation, and what it wrote for whom. */
import { UserError } from '../../util/errors.js';
import type { ChatTemplate, RenderOptions, Trace, Written, WrittenFor } from '../jinja/index.js';
import { named, type Message } from './messages.js';
import { turnsOf, type Turns } from './turns.js';

/** What an assistant wrote, in UTF-16 units of the text, the end excluded. */
export interface ChatSpan extends WrittenFor {
  /** What the template wrote for the message: the span, the beginning before it, and what may stand behind it. */
  readonly turn: Written;
}

/** A template, its variables but messages and generation prompt, and how it is rendered. */
export interface Rendering {
  readonly template: ChatTemplate;
  readonly context: Readonly<Record<string, unknown>>;
  readonly options: RenderOptions;
}

export interface Rendered {
  readonly text: string;
  readonly trace: Trace;
  readonly turns: Turns;
}

/** @throws UserError where the template does not take the messages */
export function rendered(
  { template, context, options }: Rendering,
  messages: readonly Message[],
  addGenerationPrompt = false,
): Rendered {
  const { text, trace } = template.trace(
    { ...context, messages, add_generation_prompt: addGenerationPrompt },
    options,
  );
  return { text, trace, turns: turnsOf(trace) };
}

/** Undefined where the template does not take the messages. */
export function attempted(
  rendering: Rendering,
  messages: readonly Message[],
  addGenerationPrompt = false,
): Rendered | undefined {
  return unlessRefused(() => rendered(rendering, messages, addGenerationPrompt));
}

/** Undefined in the place of a UserError. */
export function unlessRefused<R>(work: () => R): R | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Why a message's turn is not trained on. */
export function refusal(
  { template }: Rendering,
  messages: readonly Message[],
  i: number,
  why: string,
  mend = 'mark what it writes for the assistant by {% generation %} and {% endgeneration %} in the template',
): UserError {
  return new UserError(`${template.path}: ${named(messages, i)} cannot be told apart: ${why}; ${mend}`);
}
