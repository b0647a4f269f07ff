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

/** How an error names a message: by its place from 1, and its role. */
export const named = (messages: readonly Message[], i: number): string =>
  `message ${i + 1} (${messages[i]!.role})`;

/**
 * Messages as a template takes them: parts of text are joined by line ends unless it `takesParts`, and the arguments of a tool call, JSON
 * in a string with OpenAI, are what that JSON says, as Python's users of templates hand them over.
 * @throws UserError for a part that is not text, and for arguments that are not JSON
 */
export function prepared(messages: readonly Message[], takesParts: boolean): Message[] {
  return messages.map((message, i) => {
    const { content, tool_calls: calls } = message;
    if (!Array.isArray(content) && !Array.isArray(calls)) return message;
    const name = named(messages, i);
    return {
      ...message,
      ...(Array.isArray(content) && {
        content: takesParts
          ? checked(content as ContentPart[], name)
          : joined(content as ContentPart[], name),
      }),
      ...(Array.isArray(calls) && { tool_calls: calls.map((call: unknown) => parsedCall(call, name)) }),
    };
  });
}

function checked(parts: readonly ContentPart[], name: string): readonly ContentPart[] {
  for (const { type, text } of parts)
    if (type !== 'text' || typeof text !== 'string')
      throw new UserError(`${name} has a part of type '${type}': a template gets text alone`);
  return parts;
}

const joined = (parts: readonly ContentPart[], name: string): string =>
  checked(parts, name)
    .map(({ text }) => text as string)
    .join('\n');

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
