/**
 * Conversations as every form is read into them: messages as OpenAI's API and chat templates have them. What a template may read besides
 * (`name`, `tool_call_id`, `reasoning_content`) is passed on as it is.
 */
import type { Message } from '../../tokenizer/index.js';
import { UserError } from '../../util/errors.js';

/** A message whose content is text. */
export interface TextMessage extends Message {
  readonly content?: string | null | undefined;
  readonly tool_calls?: readonly object[];
  /** 0: the message is not trained on. */
  readonly weight?: 0 | 1;
}

/** A chat, and the tools that its assistant may call, as JSON schemas. */
export interface Conversation {
  readonly messages: readonly TextMessage[];
  readonly tools?: readonly object[];
}

/** The roles that a conversation is made of. */
export const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

/** Something with keys, and no list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Messages of OpenAI's form, checked: content in parts of text becomes one text, and what is null is left out, but for content, which is
 * null beside a call of a tool. Throws UserError, with the message's number, for what is no message, has parts that are no text, or a
 * weight that is neither 0 nor 1.
 */
export function messagesOf(value: unknown): TextMessage[] {
  if (!Array.isArray(value))
    throw new UserError('it is no array of messages, nor an object with one as its messages');
  return (value as unknown[]).map((message, i) => messageOf(message, i + 1));
}

function messageOf(value: unknown, number: number): TextMessage {
  if (!isObject(value)) throw new UserError(`message ${number} is no object`);
  const { role, content, weight } = value;
  if (typeof role !== 'string' || role === '')
    throw new UserError(`message ${number} has no role, such as user or assistant`);
  if (weight != null && weight !== 0 && weight !== 1)
    throw new UserError(
      `message ${number} has the weight ${JSON.stringify(weight)}; it is 0 (not trained on) or 1`,
    );
  const given = Object.entries(value).filter(([key, part]) => part !== null || key === 'content');
  const message = Object.fromEntries(given) as TextMessage;
  const text = textOf(content, number);
  const calls = message.tool_calls;
  if (calls !== undefined && !(Array.isArray(calls) && calls.every(isObject)))
    throw new UserError(`message ${number} has tool_calls that are no list of objects`);
  return {
    ...message,
    ...(text !== content && { content: text }),
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
