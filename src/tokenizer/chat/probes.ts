/**
 * A conversation said otherwise, to see by rendering what of a template's text depends on whom. What stands in for a content are
 * noncharacters, which no text has, with the message's number.
 */
import { NO_CALLS } from '../jinja/index.js';
import { ASSISTANT, type ContentPart, type Message } from './messages.js';

/** What stands in for contents, and is in no text that may be rendered. */
export const NONCHARACTERS = /[\ufdd0-\ufdd2]/;

const OTHERS_MARK = '\ufdd2';
export const standIn = (message: number): string => `\ufdd0${message}\ufdd1`;
export const STAND_INS = /\ufdd0(\d+)\ufdd1/g;

/** Where templates look for what an assistant thinks. */
const THOUGHTS = ['reasoning_content', 'reasoning', 'thinking'];

/** A text in the form of a content. */
export const inFormOf = (content: Message['content'], text: string): Message['content'] =>
  Array.isArray(content) ? [{ type: 'text', text }] : text;

const isContent = (content: Message['content']): boolean => content !== undefined && content !== null;

/** Every answer another one. A content that is null beside calls stays so, for templates tell calls by it. */
export function answeredOtherwise(messages: readonly Message[]): Message[] {
  return messages.map((message, i) => {
    if (message.role !== ASSISTANT) return message;
    const text = standIn(i);
    const thoughts = THOUGHTS.filter((key) => typeof message[key] === 'string').map((key) => [key, text]);
    const { content, tool_calls: calls } = message;
    return {
      ...message,
      ...(Object.fromEntries(thoughts) as Record<string, string>),
      ...((isContent(content) || !calls) && { content: inFormOf(content, text) }),
    };
  });
}

/** Every answer one that thinks nothing and calls nothing, and says `text`. */
export function answeredBy(text: (message: number) => string, messages: readonly Message[]): Message[] {
  const thoughts = Object.fromEntries(THOUGHTS.map((key) => [key, undefined])) as Record<string, undefined>;
  return messages.map((message, i) =>
    message.role === ASSISTANT
      ? { ...message, ...thoughts, content: inFormOf(message.content, text(i)), tool_calls: NO_CALLS }
      : message,
  );
}

/** All others say something else in the middle of what they say, since templates look at how a content begins and ends. */
export function askedOtherwise(messages: readonly Message[]): Message[] {
  return messages.map((message) => {
    const { role, content } = message;
    if (role === ASSISTANT) return message;
    if (typeof content === 'string') return { ...message, content: interrupted(content) };
    if (!Array.isArray(content)) return message;
    const parts = content as ContentPart[];
    return {
      ...message,
      content: parts.map((part) => ({ ...part, text: interrupted(part['text'] as string) })),
    };
  });
}

function interrupted(text: string): string {
  const letters = Array.from(text);
  const middle = letters.length >> 1;
  return [...letters.slice(0, middle), OTHERS_MARK, ...letters.slice(middle)].join('');
}
