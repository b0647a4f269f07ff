/**
 * Chats with an assistant that knows in which of the groups of posts something is asked, by itself or by a tool, and keeps appointments and
 * reminders: what it says is told by the last question, what was said before, or both. A system message, where there is one, says how it
 * is to answer.
 */
import { Draws } from './draws.js';
import { expand, sentence } from './grammar.js';
import * as inventory from './inventory.js';
import { labels, topics } from './lexicon/index.js';

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
  plain: { system: [], say: ({ answer }) => answer },
  brief: {
    system: ['Answer with the fact alone.', 'Say no more than what was asked for.'],
    say: ({ fact }) => sentence(fact),
  },
  polite: {
    system: ['Be polite.', 'You are a polite assistant.'],
    say: ({ answer }) => `${answer} You are welcome.`,
  },
} satisfies Readonly<Record<string, Manner>>;

interface Manner {
  readonly system: readonly string[];
  readonly say: (of: Pick<Exchange, 'answer' | 'fact'>) => string;
}

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

const FIND = tool('find_group', 'The group in which something is talked about', 'about');
const TRAIN = tool('next_train', 'When the next train leaves, and from where', 'town');

/** The conversation of a row. */
export function makeChat(seed: number, stream: number, row: number): Chat {
  const draws = new Draws(seed, stream, row);
  const manner: Manner = MANNERS[draws.weighted({ plain: 60, brief: 20, polite: 20 })];
  const topic = TOPICS[draws.weighted({ groups: 45, found: 20, appointment: 15, reminder: 10, trains: 10 })];
  const exchanges = topic(draws);
  const calls = exchanges.some(({ call }) => call !== undefined);
  const system = manner.system.length > 0 ? [draws.pick(manner.system)] : [];
  return {
    messages: [
      ...system.map((content): ChatMessage => ({ role: 'system', content })),
      ...exchanges.flatMap((exchange) => messagesOf(exchange, manner, draws)),
    ],
    ...(calls && { tools: [FIND, TRAIN] }),
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
    { role: 'assistant', content: say({ answer: write(answer), fact }) },
  ];
}

/** Questions about things of some groups; `draws` says how many groups the chat goes through. */
function questions(draws: Draws, count: number): readonly { user: string; about: string; group: string }[] {
  const [first, second] = draws.sample(labels, 2) as [string, string];
  const stays = draws.chance(0.5);
  return Array.from({ length: count }, (_, i) => {
    const group = i === 0 || stays ? first : second;
    const { own } = topics.get(group)!;
    const [thing, act] = [draws.pick(own.things), draws.pick(own.acts)];
    return draws.chance(0.6)
      ? {
          user:
            i === 0
              ? `(which group is for|where do I ask about) a ${thing}?`
              : `(and|what about) a ${thing}?`,
          about: thing,
          group,
        }
      : {
          user: i === 0 ? `where do people ask how to ${act}?` : `(and if I want|and how) to ${act}?`,
          about: act,
          group,
        };
  });
}

const TOPICS: Readonly<Record<'groups' | 'found' | 'appointment' | 'reminder' | 'trains', Topic>> = {
  groups: (draws) =>
    questions(draws, 2 + draws.below(2)).map(({ user, group }) => ({
      user,
      answer: `Ask in ${group}.`,
      fact: group,
    })),

  found: (draws) =>
    questions(draws, 1 + draws.below(2)).map(({ user, about, group }) => ({
      user,
      answer: `Ask in ${group}.`,
      fact: group,
      call: { name: 'find_group', arguments: { about }, result: { group } },
    })),

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
