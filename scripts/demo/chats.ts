/**
 * Chats with an assistant that keeps appointments, lists and reminders, and looks up prices and trains by tools: what it says can be told
 * from what was said to it before. A system message, where there is one, says how it is to answer.
 */
import { Draws } from './draws.js';
import { expand, sentence } from './grammar.js';
import * as inventory from './inventory.js';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  readonly tool_calls?: readonly object[];
  readonly name?: string;
}

export interface Chat {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly object[];
}

/** How answers are given: what a system message says, and what becomes of an answer and the fact in it. */
const MANNERS = {
  plain: { system: [] as string[], say: (answer: string, _fact: string) => answer },
  brief: {
    system: ['Answer with the fact alone.', 'Say no more than what was asked for.'],
    say: (_answer: string, fact: string) => sentence(fact),
  },
  polite: {
    system: ['Be polite.', 'You are a polite assistant.'],
    say: (answer: string, _fact: string) => `${answer} You are welcome.`,
  },
} as const;

type Manner = (typeof MANNERS)[keyof typeof MANNERS];

/** A question and its answer; `fact`: what of the answer was asked for. */
interface Exchange {
  readonly user: string;
  readonly answer: string;
  readonly fact: string;
  /** The tool that is asked before, with what, and what it says. */
  readonly call?: { readonly name: string; readonly arguments: object; readonly result: object };
}

type Topic = (draws: Draws) => readonly Exchange[];

const tool = (name: string, description: string, parameter: string): object => ({
  type: 'function',
  function: {
    name,
    description,
    parameters: {
      type: 'object',
      properties: { [parameter]: { type: 'string' } },
      required: [parameter],
    },
  },
});

const PRICE = tool('find_price', 'What something costs', 'item');
const TRAIN = tool('next_train', 'When the next train leaves, and from where', 'town');

/** The conversation of a row. */
export function makeChat(seed: number, stream: number, row: number): Chat {
  const draws = new Draws(seed, stream, row);
  const manner = MANNERS[draws.weighted({ plain: 60, brief: 20, polite: 20 })];
  const topic = TOPICS[draws.weighted({ appointment: 35, list: 20, reminder: 15, prices: 15, trains: 15 })];
  const exchanges = topic(draws);
  const calls = exchanges.some(({ call }) => call !== undefined);
  const system = manner.system.length > 0 ? [draws.pick(manner.system)] : [];
  return {
    messages: [
      ...system.map((content): ChatMessage => ({ role: 'system', content })),
      ...exchanges.flatMap((exchange) => messagesOf(exchange, manner, draws)),
    ],
    ...(calls && { tools: [PRICE, TRAIN] }),
  };
}

function messagesOf({ user, answer, fact, call }: Exchange, { say }: Manner, draws: Draws): ChatMessage[] {
  const write = (text: string): string => sentence(expand(text, (slot) => slot, draws));
  return [
    { role: 'user', content: write(user) },
    ...(call
      ? [
          {
            role: 'assistant' as const,
            content: '',
            tool_calls: [
              { type: 'function', function: { name: call.name, arguments: JSON.stringify(call.arguments) } },
            ],
          },
          { role: 'tool' as const, name: call.name, content: JSON.stringify(call.result) },
        ]
      : []),
    { role: 'assistant', content: say(write(answer), fact) },
  ];
}

const TOPICS: Readonly<Record<'appointment' | 'list' | 'reminder' | 'prices' | 'trains', Topic>> = {
  appointment(draws) {
    const [day, day2] = draws.sample(inventory.days, 2) as [string, string];
    const [hour, hour2] = draws.sample(inventory.hours, 2) as [string, string];
    const place = draws.pick(inventory.places);
    const person = draws.pick(inventory.names);
    const activity = draws.pick(inventory.activities);
    const moved = draws.chance(0.5);
    const later = draws.chance(0.5);
    const change: Exchange = later
      ? { user: `(make it|let us make it) ${hour2}`, answer: `Moved to ${hour2}.`, fact: hour2 }
      : { user: `(move it to|better on) ${day2}`, answer: `Moved to ${day2}.`, fact: day2 };
    const [on, at] = [moved && !later ? day2 : day, moved && later ? hour2 : hour];
    const questions: readonly Exchange[] = [
      { user: '(when is it|what time is it)?', answer: `It is on ${on} at ${at}.`, fact: `${on} at ${at}` },
      { user: '(where is it|where do we meet)?', answer: `You meet ${place}.`, fact: place },
      { user: '(who comes along|with whom)?', answer: `${person} comes along.`, fact: person },
      { user: '(what do we do|what is the plan)?', answer: `The plan is to ${activity}.`, fact: activity },
    ];
    return [
      {
        user: `(I want to|I will) ${activity} with ${person} ${place} on ${day} at ${hour}`,
        answer: `Noted for ${day} at ${hour}.`,
        fact: `${day} at ${hour}`,
      },
      ...(moved ? [change] : []),
      ...draws.sample(questions, 1 + draws.below(2)),
    ];
  },

  list(draws) {
    const things = draws.sample(inventory.items, 2 + draws.below(2));
    const [first, ...more] = things;
    const all = `${things.slice(0, -1).join(', ')} and ${things.at(-1)!}`;
    return [
      { user: `(put|write) a ${first!} on my list`, answer: `The ${first!} is on the list.`, fact: first! },
      ...more.map((thing) => ({
        user: `(and|also) a ${thing}`,
        answer: `The ${thing} is on the list.`,
        fact: thing,
      })),
      { user: '(what is on the list|read me the list)?', answer: `On the list: ${all}.`, fact: all },
    ];
  },

  reminder(draws) {
    const [favour, favour2] = draws.sample(inventory.favours, 2) as [string, string];
    const [day, day2] = draws.sample(inventory.days, 2) as [string, string];
    const [asked, wanted] = draws.pick([
      [day, favour],
      [day2, favour2],
    ]);
    return [
      { user: `remind me to ${favour} on ${day}`, answer: `I will remind you on ${day}.`, fact: day },
      { user: `and to ${favour2} on ${day2}`, answer: `I will remind you on ${day2}.`, fact: day2 },
      { user: `what do I do on ${asked}?`, answer: `On ${asked} you ${wanted}.`, fact: wanted },
    ];
  },

  prices(draws) {
    const items = draws.sample(inventory.items, 2) as [string, string];
    const costs = [draws.pick(inventory.prices), draws.pick(inventory.prices)];
    const [first, second] = items.map((item, i): Exchange => {
      const price = costs[i]!;
      return {
        user: i === 0 ? `(what does a ${item} cost|how much is a ${item})?` : `and a ${item}?`,
        answer: `The ${item} costs ${price}.`,
        fact: price,
        call: { name: 'find_price', arguments: { item }, result: { price } },
      };
    });
    return draws.chance(0.6) ? [first!, second!] : [first!];
  },

  trains(draws) {
    const town = draws.pick(inventory.towns);
    const hour = draws.pick(inventory.hours);
    const platform = String(1 + draws.below(9));
    return [
      {
        user: `(when is the next train to|when can I go to) ${town}?`,
        answer: `The next train to ${town} leaves at ${hour}.`,
        fact: hour,
        call: { name: 'next_train', arguments: { town }, result: { hour, platform } },
      },
      {
        user: '(from which platform|where does it leave)?',
        answer: `It leaves from platform ${platform}.`,
        fact: `platform ${platform}`,
      },
    ].slice(0, 1 + draws.below(2));
  },
};
