/** ShareGPT's form: turns with `from` and `value`, under the names that its data sets and their descendants give the speakers. */
import { UserError } from '../../util/errors.js';
import { own } from '../../util/own.js';
import { isObject, messagesOf, type ROLES } from './conversation.js';
import { listIn, systemIn, type ChatForm } from './form.js';

/** Who speaks; a call of a tool is written as JSON. */
const SPEAKERS: Readonly<Record<string, (typeof ROLES)[number] | 'call'>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  system: 'system',
  developer: 'developer',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
  function_response: 'tool',
  function_call: 'call',
  tool_call: 'call',
};

export const sharegpt: ChatForm = {
  about: 'conversations of from and value',
  needed: ['conversations'],
  optional: ['system', 'tools'],
  messages(cells) {
    const turns = (listIn(cells, 'conversations') ?? []).map((turn, i) => messageOf(turn, i + 1));
    const before = turns[0]?.['role'] === 'system' ? [] : systemIn(cells);
    return [...before, ...messagesOf(turns)];
  },
};

function messageOf(turn: unknown, number: number): Record<string, unknown> {
  if (!isObject(turn)) throw new UserError(`turn ${number} is no object`);
  const { from, value, ...others } = turn;
  if (typeof from !== 'string') {
    if ('role' in turn)
      throw new UserError(
        `turn ${number} has a role and no 'from': say form: openai, and name the column under 'columns' as messages`,
      );
    throw new UserError(`turn ${number} has no 'from', such as human or gpt`);
  }
  const role = own(SPEAKERS, from);
  if (role === undefined)
    throw new UserError(
      `turn ${number} is from ${JSON.stringify(from)}, which is none of ${Object.keys(SPEAKERS).join(', ')}`,
    );
  if (role !== 'call') return { ...others, role, content: value };
  return { ...others, role: 'assistant', content: '', tool_calls: callsOf(value, number) };
}

/** A call, or a list of calls, each with a name and arguments. */
function callsOf(value: unknown, number: number): object[] {
  let read: unknown = value;
  try {
    if (typeof value === 'string') read = JSON.parse(value);
  } catch {
    // What is not JSON is no call, which is told below.
  }
  const calls = Array.isArray(read) ? (read as unknown[]) : [read];
  return calls.map((call) => {
    if (!isObject(call) || typeof call['name'] !== 'string')
      throw new UserError(`turn ${number} calls a function, but is no JSON with a name and arguments`);
    return { type: 'function', function: call };
  });
}
