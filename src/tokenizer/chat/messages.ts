/** Messages in OpenAI's form, and how they are handed to a template. */
import { UserError } from '../../util/errors.js';

/** A piece of a content. Templates for text know the type `text`, with its `text`. */
export interface ContentPart {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** One message of a conversation. A template may read more of it, as `tool_calls` or `reasoning_content`. */
export interface Message {
  readonly role: string;
  readonly content?: string | null | readonly ContentPart[] | undefined;
  readonly [key: string]: unknown;
}

/** The role whose turns a model writes, and the one that it answers. */
export const ASSISTANT = 'assistant';
export const ASKING = 'user';

/** What a template takes for a content. */
export type ContentForm = 'text' | 'parts' | 'either';

/** How an error names a message: by its place from 1, and its role. */
export const named = (messages: readonly Message[], i: number): string =>
  `message ${i + 1} (${messages[i]!.role})`;

/**
 * Messages as a template takes them: parts of text are put together where it takes text alone, and the arguments of a tool call,
 * JSON in a string with OpenAI, are what that JSON says, as Python's users of templates hand them over.
 * @throws UserError for a part that is not text, and for arguments that are not JSON
 */
export function prepared(messages: readonly Message[], form: ContentForm): Message[] {
  return messages.map((message, i) => {
    const { content, tool_calls: calls } = message;
    const name = named(messages, i);
    return {
      ...message,
      ...(content !== undefined && content !== null && { content: formed(content, form, name) }),
      ...(Array.isArray(calls) && { tool_calls: calls.map((call: unknown) => parsedCall(call, name)) }),
    };
  });
}

function formed(
  content: string | readonly ContentPart[],
  form: ContentForm,
  name: string,
): string | readonly ContentPart[] {
  if (typeof content === 'string') return form === 'parts' ? [{ type: 'text', text: content }] : content;
  for (const { type, text } of content)
    if (type !== 'text' || typeof text !== 'string')
      throw new UserError(`${name} has a part of type '${type}': a template gets text alone`);
  return form === 'text' ? content.map(({ text }) => text as string).join('') : content;
}

function parsedCall(call: unknown, name: string): unknown {
  if (!isObject(call)) return call;
  if (isObject(call['function'])) return { ...call, function: parsedCall(call['function'], name) };
  const { arguments: given } = call;
  if (typeof given !== 'string') return call;
  try {
    return { ...call, arguments: given.trim() === '' ? {} : (JSON.parse(given) as unknown) };
  } catch {
    throw new UserError(`${name} calls '${String(call['name'])}' with arguments that are not JSON`);
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
