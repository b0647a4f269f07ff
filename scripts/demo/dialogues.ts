/**
 * Chat dialogues with a summary in the third person: a scenario's turns between greetings, small talk and goodbyes that a summary has
 * to leave out.
 */
import { Draws } from './draws.js';
import { drawHand, expand, sentence, write, type Fill, type Hand } from './grammar.js';
import * as inventory from './inventory.js';
import { scenarios } from './scenarios.js';

export interface Dialogue {
  readonly dialogue: string;
  readonly summary: string;
  readonly recap: string;
}

/** Pairs of turns that have nothing to do with the matter. */
const SMALL_TALK: readonly (readonly string[])[] = [
  ['A: (btw|by the way) how is {E}?', 'B: (fine|busy as always|much better)'],
  ['A: (I am|we are) {place3} (right now|with {E})', 'B: (nice|lucky you|have fun)'],
  ['B: did you (watch|see) the match (on {day3}|)?', 'A: (no|yes), (it was boring|I fell asleep)'],
  ['B: the weather is (awful|great)', 'A: (I know|same here)'],
  ['A: I have to {favour3} (later|first)', 'B: (have fun|poor you)'],
  ['B: {E} (says hi|asked about you)', 'A: (aw|oh), say hi back'],
  ['A: my {item3} arrived', 'B: (show me|finally|cool)'],
];
const GREETINGS: readonly (readonly string[])[] = [
  ['A: (hi|hey|hello) {B}(!|)'],
  ['A: (hi|hey)', "B: (hey|hi {A}), what's up?"],
  ['B: (hi|hey) {A}, (all good|how are you)?', 'A: (yes|fine, thanks|so so)'],
];
const GOODBYES: readonly (readonly string[])[] = [
  ['A: (thanks|thank you)(!| {B}| :D)'],
  ['B: (see you|bye)(!|)', 'A: (bye|see you)'],
  ['A: (great|cool)(!| :D|)'],
  ['B: (take care|talk later)'],
];

/** The dialogue of a row, with its summary and a looser recap. */
export function makeDialogue(seed: number, stream: number, row: number): Dialogue {
  const draws = new Draws(seed, stream, row);
  const fill = facts(draws);
  const scenario = draws.pick(scenarios);
  const outcome = draws.pick(scenario.outcomes);
  const maybe = (probability: number, choices: readonly (readonly string[])[]): readonly string[] =>
    draws.chance(probability) ? draws.pick(choices) : [];

  const long = scenario.opening.length + outcome.turns.length > 5;
  const turns = [
    ...maybe(0.5, GREETINGS),
    ...(long ? [] : maybe(0.25, SMALL_TALK)),
    ...scenario.opening,
    ...outcome.turns,
    ...(long ? [] : maybe(0.25, SMALL_TALK)),
    ...maybe(0.6, GOODBYES),
  ];
  const hands: Readonly<Record<string, Hand>> = { A: drawHand(draws, 0.4), B: drawHand(draws, 0.4) };
  const lines = turns.map((turn) => {
    const speaker = turn.slice(0, 1);
    const text = sentence(expand(turn.slice(3), fill, draws));
    return `${fill(speaker)}: ${write(text, hands[speaker]!, draws)}`;
  });
  return {
    dialogue: lines.join('\n'),
    summary: expand(draws.pick(outcome.summaries), fill, draws),
    recap: expand(outcome.recap, fill, draws),
  };
}

/** What the slots stand for, drawn when first asked for and kept; no two slots of a kind are the same. */
function facts(draws: Draws): Fill {
  const { names, days, hours, places, items, favours, reasons, news, towns, prices } = inventory;
  const [A, B, C, D, E] = draws.sample(names, 5) as [string, string, string, string, string];
  const [day, day2, day3] = draws.sample(days, 3) as [string, string, string];
  const [hour, hour2] = draws.sample(hours, 2) as [string, string];
  const [place, place2, place3] = draws.sample(places, 3) as [string, string, string];
  const [item, item2, item3] = draws.sample(items, 3) as [string, string, string];
  const [favour, favour3] = draws.sample(favours, 2) as [string, string];
  const [price2, price] = draws.sample(prices, 2).sort((a, b) => parseInt(a) - parseInt(b)) as [
    string,
    string,
  ];
  const reason = draws.pick(reasons);
  const piece = draws.pick(news);
  const table: Readonly<Record<string, string>> = {
    ...{
      A,
      B,
      C,
      D,
      E,
      day,
      day2,
      day3,
      hour,
      hour2,
      place,
      place2,
      place3,
      item,
      item2,
      item3,
      favour,
      favour3,
    },
    ...{ price, price2, reason, reasonI: firstPerson(reason), news: piece, newsI: firstPerson(piece) },
    activity: draws.pick(inventory.activities),
    town: draws.pick(towns),
    vehicle: draws.pick(['train', 'bus', 'car', 'bike', 'ferry', 'taxi']),
  };
  return (slot) => table[slot]!;
}

function firstPerson(clause: string): string {
  return clause.replace(/^has\b/, 'have').replace(/^is\b/, 'am');
}
