/**
 * Conversations as every form is read into them: messages as OpenAI's API and chat templates have them. What a template may read besides
 * (`name`, `tool_call_id`, `reasoning_content`) is passed on as it is.
 */
import { UserError } from '../../util/errors.js';

/** One turn. */
export interface Message {
  readonly role: string;
  /** Null, or missing: there is none, as beside a call of a tool. */
  readonly content?: string | null | undefined;
  readonly tool_calls?: readonly object[];
  /** 0: the message is not trained on. */
  readonly weight?: 0 | 1;
  readonly [key: string]: unknown;
}

/** A chat, and the tools that its assistant may call, as JSON schemas. */
export interface Conversation {
  readonly messages: readonly Message[];
  readonly tools?: readonly object[];
}

/** The roles that a conversation is made of. */
export const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

/** Something with keys, and no list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Messages of OpenAI's form, checked: content in parts of text becomes one text, what is null is left out (but for content, which is
 * null beside a call of a tool), and a tool's arguments that are JSON in a string become what they spell, as templates want them. Throws
 * UserError, with the message's number, for what is no message, has parts that are no text, or a weight that is neither 0 nor 1.
 */
export function messagesOf(value: unknown): Message[] {
  if (!Array.isArray(value))
    throw new UserError('it is no array of messages, nor an object with one as its messages');
  return (value as unknown[]).map((message, i) => messageOf(message, i + 1));
}

function messageOf(value: unknown, number: number): Message {
  if (!isObject(value)) throw new UserError(`message ${number} is no object`);
  const { role, content, weight } = value;
  if (typeof role !== 'string' || role === '')
    throw new UserError(`message ${number} has no role, such as user or assistant`);
  if (weight != null && weight !== 0 && weight !== 1)
    throw new UserError(
      `message ${number} has the weight ${JSON.stringify(weight)}; it is 0 (not trained on) or 1`,
    );
  const given = Object.entries(value).filter(([key, part]) => part !== null || key === 'content');
  const message = Object.fromEntries(given) as Message;
  const text = textOf(content, number);
  const calls = message.tool_calls;
  if (calls !== undefined && !(Array.isArray(calls) && calls.every(isObject)))
    throw new UserError(`message ${number} has tool_calls that are no list of objects`);
  return {
    ...message,
    ...(text !== content && { content: text }),
    ...(calls && { tool_calls: calls.map(withArguments) }),
  };
}

/** Of content in parts, what the parts of text say one after the other. */
function textOf(content: unknown, number: number): string | null | undefined {
  if (content === undefined || content === null || typeof content === 'string') return content;
  const neither = `the content of message ${number} is neither a text nor made of parts of text`;
  if (!Array.isArray(content)) throw new UserError(neither);
  return (content as unknown[])
    .map((part) => {
      if (isObject(part) && part['type'] === 'text' && typeof part['text'] === 'string') return part['text'];
      const type = isObject(part) && typeof part['type'] === 'string' ? `, but has ${part['type']}` : '';
      throw new UserError(`${neither}${type}: only text is read; take it out, or leave the conversation out`);
    })
    .join('');
}

/** OpenAI writes a call's arguments as a string of JSON; templates write out what they are given, and want an object. */
function withArguments(call: object): object {
  const { function: called } = call as { readonly function?: unknown };
  if (!isObject(called) || typeof called['arguments'] !== 'string') return call;
  const parsed = parsedObject(called['arguments']);
  return parsed === undefined ? call : { ...call, function: { ...called, arguments: parsed } };
}

function parsedObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
