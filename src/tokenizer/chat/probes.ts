/**
 * A conversation said otherwise, to see by rendering what of a template's text depends on whom. What stands in for a content are
 * noncharacters, which no text has, with the message's number.
 */
import { NO_CALLS } from '../jinja/index.js';
import { ASSISTANT, type ContentPart, type Message } from './messages.js';

/** What stands in for contents, and is in no text that may be rendered. */
export const NONCHARACTERS = /[\ufdd0-\ufdd2]/;

const OTHERS_MARK = '\ufdd2';
/** As long as few contents are, whose lengths a template may tell. */
export const standIn = (message: number): string => `\ufdd0${String(message).padStart(29, '0')}\ufdd1`;
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
  return messages.map((message, i) =>
    message.role === ASSISTANT
      ? {
          ...message,
          ...thoughts(undefined),
          ...{ content: inFormOf(message.content, text(i)), tool_calls: NO_CALLS },
        }
      : message,
  );
}

/** Every answer with a thought before it. */
export const thinking = (messages: readonly Message[]): Message[] =>
  messages.map((message, i) =>
    message.role === ASSISTANT ? { ...message, ...thoughts(standIn(i)) } : message,
  );

const thoughts = (thought: string | undefined): Record<string, string | undefined> =>
  Object.fromEntries(THOUGHTS.map((key) => [key, thought]));

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
