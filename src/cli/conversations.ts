/** Chats as files hold them, in OpenAI's form: a JSON array of messages, or JSONL of conversations. */

import { messagesOf, type TextMessage } from '../data/chat/index.js';
import { UserError } from '../util/errors.js';

/**
 * The conversations of a text: an array of messages is one; an array of conversations, or a conversation a line, are several. A conversation
 * is an array of messages or an object with `messages`. Undefined where the text is none of these, but prompts. Throws UserError, with the
 * place, where it is meant for one.
 * @param path for messages
 * @param wanted whether any object is meant for one, as where a chat is asked for
 */
export function conversationsOf(text: string, path: string, wanted = false): TextMessage[][] | undefined {
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

function checked(value: unknown, where: string): TextMessage[] {
  const list: unknown =
    isChat(value, true) && !Array.isArray(value) ? (value as { messages?: unknown }).messages : value;
  try {
    const messages = messagesOf(list);
    if (messages.length > 0) return messages;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${where} is no conversation: ${error.message}`);
  }
  throw new UserError(`${where} is no conversation: it has no messages`);
}
