/** What of a conversation is asked, what is answered, and what it is without its earliest turns. */

import { createHash } from 'node:crypto';
import type { Conversation, TextMessage } from '../data/chat/index.js';

/** The number of the message that a model is asked for: the assistant's last. */
function answerAt({ messages }: Conversation): number {
  return messages.findLastIndex(({ role }) => role === 'assistant');
}

/** The conversation up to the message that a model is asked for. */
export function askedFor(conversation: Conversation): Conversation {
  return { ...conversation, messages: conversation.messages.slice(0, answerAt(conversation)) };
}

/**
 * What the assistant says last. White space around it is no part of it, since many templates take it away. Of a turn that only calls
 * tools, the calls, one a line, as models are taught to write them.
 */
export function answerOf(conversation: Conversation): string {
  const { content, tool_calls = [] } = conversation.messages[answerAt(conversation)]!;
  const text = spoken(content ?? '').trim();
  return text === '' ? tool_calls.map(callText).join('\n') : text;
}

/** What is said to the other, without what was thought before. */
export function spoken(text: string): string {
  const end = text.lastIndexOf(THOUGHT);
  return end < 0 ? text : text.slice(end + THOUGHT.length);
}

/** Where a model that thinks aloud is done with it. */
const THOUGHT = '</think>';

/** What the other asks first and last before that: what tells a conversation from others. */
export function askedOf(conversation: Conversation): string {
  const asked = askedFor(conversation).messages.filter(({ role }) => role === 'user');
  const [first, last] = [asked[0], asked.at(-1)].map((message) => message?.content ?? '');
  return first === last ? first! : `${first!} … ${last!}`;
}

/**
 * What is said before the answer, a message a line. System messages and tools are often the same for many rows, so that they are told apart
 * by them, but have no words in common.
 */
export function comparedOf(conversation: Conversation): string {
  const { messages, tools } = askedFor(conversation);
  const given = messages.slice(0, opening(messages));
  const said = messages
    .slice(given.length)
    .map(({ content, tool_calls: calls }) =>
      calls ? `${content ?? ''} ${JSON.stringify(calls)}` : (content ?? ''),
    );
  const apart = given.length > 0 || tools !== undefined ? [digest(JSON.stringify([given, tools]))] : [];
  return [...apart, ...said].join('\n');
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

/** A call as models are taught to write it. OpenAI's arguments are JSON already. */
function callText(call: object): string {
  const { function: called = call } = call as { readonly function?: object };
  const { name, arguments: given = {} } = called as { readonly name?: unknown; readonly arguments?: unknown };
  return `{"name": ${JSON.stringify(name ?? null)}, "arguments": ${typeof given === 'string' ? given : jsonText(given)}}`;
}

/** JSON with the spaces that Python puts there. */
function jsonText(value: unknown): string {
  if (Array.isArray(value)) return `[${(value as unknown[]).map(jsonText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${jsonText(part)}`);
  return `{${entries.join(', ')}}`;
}

/**
 * Where a conversation can begin instead: at each of the user's turns but the first, as numbers of messages. System messages at its
 * beginning stay before it.
 */
export function laterStarts({ messages }: Conversation): number[] {
  const first = opening(messages);
  return [...messages.keys()].filter(
    (i) => i > first && messages[i]!.role === 'user' && messages[i - 1]!.role !== 'user',
  );
}

/** The conversation with its opening and what stands from message `start` on. */
export function startingAt({ messages, ...others }: Conversation, start: number): Conversation {
  return { ...others, messages: [...messages.slice(0, opening(messages)), ...messages.slice(start)] };
}

/** How many messages say how the assistant is to be, before anybody speaks. */
function opening(messages: readonly TextMessage[]): number {
  const spoken = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  return spoken < 0 ? messages.length : spoken;
}
