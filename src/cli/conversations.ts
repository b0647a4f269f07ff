/** Chats as files hold them, in OpenAI's form: a JSON array of messages, or JSONL of conversations. */

import { z } from 'zod';
import type { ChatMessage } from '../tokenizer/index.js';
import { UserError } from '../util/errors.js';

/** Text alone: of content in parts, what the parts of text say one after the other. */
const content = z.union([
  z.string(),
  z
    .array(z.looseObject({ type: z.literal('text'), text: z.string() }))
    .transform((parts) => parts.map(({ text }) => text).join('')),
  z.null(),
]);

const message = z.looseObject({ role: z.string().min(1), content: content.optional() });
const messages = z.array(message).min(1);
const conversation = z.union([messages, z.looseObject({ messages }).transform((of) => of.messages)]);

/**
 * The conversations of a text: an array of messages is one; an array of conversations, or a conversation a line, are several. A conversation
 * is an array of messages or an object with `messages`. Undefined where the text is none of these, but prompts. Throws UserError, with the
 * place, where it is meant for one.
 * @param path for messages
 * @param wanted whether any object is meant for one, as where a chat is asked for
 */
export function conversationsOf(text: string, path: string, wanted = false): ChatMessage[][] | undefined {
  const whole = parsed(text);
  if (whole !== undefined) {
    if (!isChat(whole, wanted)) return undefined;
    if (!Array.isArray(whole)) return [checked(whole, path)];
    const list = whole as unknown[];
    if (isMessage(list[0])) return [checked(list, path)];
    return list.map((one, i) => checked(one, `${path}: conversation ${i + 1}`));
  }
  const lines = text
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() === '' ? [] : [{ line, number: i + 1 }]));
  const first = lines[0] && parsed(lines[0].line);
  if (first === undefined || !isChat(first, wanted)) return undefined;
  return lines.map(({ line, number }) => {
    const one = parsed(line);
    if (one === undefined)
      throw new UserError(`${path}: line ${number} is not JSON, and the first one is a chat's`);
    return checked(one, `${path}: line ${number}`);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isMessage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && ('role' in value || 'content' in value);
}

/** Whether a value is meant for a conversation, or several. */
function isChat(value: unknown, wanted: boolean): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (!Array.isArray(value)) return wanted || 'messages' in value;
  const first: unknown = value[0];
  return isMessage(first) || isChat(first, wanted);
}

function checked(value: unknown, where: string): ChatMessage[] {
  const result = conversation.safeParse(value);
  if (result.success) return result.data as unknown as ChatMessage[];
  throw new UserError(`${where} is no conversation: ${faultOf(value)}`);
}

/** What is wrong with the first message that is none. */
function faultOf(value: unknown): string {
  const list: unknown = Array.isArray(value)
    ? value
    : typeof value === 'object' && value !== null && 'messages' in value
      ? value.messages
      : undefined;
  if (!Array.isArray(list)) return 'it is no array of messages, nor an object with one as its messages';
  if (list.length === 0) return 'it has no messages';
  const at = list.findIndex((one) => !message.safeParse(one).success);
  const one: unknown = list[at];
  if (typeof one !== 'object' || one === null) return `message ${at + 1} is no object`;
  const { role } = one as { role?: unknown };
  if (typeof role !== 'string' || role === '')
    return `message ${at + 1} has no role, such as user or assistant`;
  return `the content of message ${at + 1} is neither a text nor made of parts of text`;
}
