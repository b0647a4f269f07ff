/**
 * Posts on twenty topics. A post knows its topic only through the phrases that it draws: its topic's own, its family's, everyday ones,
 * and now and then a stray one. Some posts have little evidence, drift to the neighbouring topic, quote it, or stand in the wrong
 * group: so nobody gets all of them right, and rare phrases reward those who have read more.
 */
import { Draws } from './draws.js';
import { drawHand, expand, sentence, write, type Fill } from './grammar.js';
import { days, names, spans, towns } from './inventory.js';
import { generic, labels, topics, type Lexicon, type Topic } from './lexicon/index.js';

/** How likely a phrase is the topic's own, its family's, anybody's, a neighbour's, or of any topic. */
type Focus = Readonly<Record<'own' | 'shared' | 'generic' | 'neighbour' | 'stray', number>>;

const CLEAR: Focus = { own: 0.66, shared: 0.19, generic: 0.13, neighbour: 0.01, stray: 0.01 };
const THIN: Focus = { own: 0.34, shared: 0.3, generic: 0.32, neighbour: 0.02, stray: 0.02 };
const CROSSED: Focus = { own: 0.36, shared: 0.22, generic: 0.18, neighbour: 0.22, stray: 0.02 };
const ASTRAY: Focus = { own: 0.04, shared: 0.22, generic: 0.2, neighbour: 0.5, stray: 0.04 };

/** What a post's sentences draw from: the first, the later ones, and what it quotes. */
const CHARACTERS: Readonly<Record<string, readonly [first: Focus, later: Focus, quoted: Focus]>> = {
  clear: [CLEAR, CLEAR, CLEAR],
  thin: [THIN, THIN, THIN],
  drifting: [CLEAR, ASTRAY, CLEAR],
  replying: [CLEAR, CLEAR, ASTRAY],
  crossed: [CROSSED, CROSSED, CROSSED],
  misfiled: [ASTRAY, ASTRAY, ASTRAY],
};
const CHARACTER_WEIGHTS = { clear: 74, thin: 9, drifting: 6, replying: 5, crossed: 4, misfiled: 2 };

const SENTENCES = {
  ask: [
    '(does anybody|does anyone here|do you) know how to {act}?',
    'what is the best way to {act}?',
    '(is it|would it be) (worth it|a good idea|hard) to {act} (first|on my own|at my age|)?',
    'which {thing} would you (take|buy|recommend) for a beginner?',
    'how (long|much) does it take to {act}?',
    'should I (buy|get|trust|keep) the {thing} or (wait|go) for (a|the other) {thing}?',
    'has anyone (tried|used|had trouble with) the {name} (yet|so far|)?',
    'can you (really|ever|) {act} with a {adjective} {thing}?',
    'where can I find a {adjective} {thing} (near {town}|for little money|these days)?',
    'what do you do when {fault}?',
  ],
  trouble: [
    '(every time I try to {act}|whenever I use the {thing}|since {day}), {fault}.',
    '{fault}, and (I do not know why|nobody can tell me why|it drives me mad).',
    'I have tried to {act} for {span} now, but {fault}.',
    'my {thing} (gave up|let me down) {span} ago, and since then {fault}.',
    '(after {span}|last {day}|at the weekend) {fault} (again|once more|).',
    'first {fault}, then {fault}.',
    'the {adjective} {thing} is (no help|the real problem), because {fault}.',
  ],
  advice: [
    '(you should|I would|try to|it helps to) {act} before you {act}.',
    '(take|get|use) a {adjective} {thing}, then (it is easy to|you can) {act}.',
    'if {fault}, (have a look at|check|replace|blame) the {thing} first.',
    'never {act} without a {thing} (at hand|you trust|).',
    'the trick is to {act} and to leave the {thing} alone.',
    '(ask|listen to) someone with a {adjective} {thing}, they will help you to {act}.',
    'the {name} (did the job|is a bargain|works well) for me.',
    'start with a {thing} and a {thing}, you need nothing else to {act}.',
  ],
  story: [
    'last {day} I went to {town} with {person} to {act}.',
    'it took me {span} to {act}, but it was worth it.',
    '{person} (showed me|taught me|told me) how to {act} with a {adjective} {thing}.',
    'we (wanted|planned|had) to {act}, but {fault}, so we went home.',
    'I (finally|just) (bought|sold|fixed|found) (a|the|my) {adjective} {thing} (in {town}|on {day}|for {price}|).',
    'on {day} {person} brought the {thing}, and we decided to {act}.',
    'when I was young we had a {thing} and no {thing} at all.',
    'the {thing} (broke|disappeared|turned up) just when I began to {act}.',
    'our {name} evening in {town} ended with a {adjective} {thing}.',
  ],
  opinion: [
    'a {adjective} {thing} is (better|worse) than any {thing}.',
    '(in my opinion|to be honest|as far as I know) you cannot {act} with the {name}.',
    'I (like|love|miss|hate) my {adjective} {thing}.',
    '(most people|beginners) (forget|refuse|are afraid) to {act}.',
    'the {name} is (overrated|far too expensive|still the best), any {thing} will do.',
    'the best part is to {act} and then to {act}.',
    'no {thing} is worth {price}.',
    'I read that {person} can {act} in {span}.',
  ],
  sale: [
    'for sale: one {adjective} {thing}, hardly used, {price}.',
    'I also have a {thing} and a {adjective} {thing} to give away.',
    'the {thing} comes with a {thing} and the manual.',
    'pick up in {town} on {day}, ask for {person}.',
    'I am selling it because I want to {act} instead.',
    'it is a {name}, (two|five|ten) years old, {adjective} but fine.',
  ],
  filler: [
    '(I am new here|this is my first post|long time reader), so (please be kind|forgive a silly question).',
    '(sorry|my apologies) if this has been asked before.',
    'I have asked (around|{person}|at work), (but nobody knows|and got three different answers).',
    'let me know what you think.',
    'it is (raining|too late|a long story) anyway.',
    'I will try again on {day} (and report back|).',
    'that is (just my opinion|all I can say|how it is).',
    'I hope this helps.',
    '(so far so good|what a week|it could be worse).',
  ],
} as const;

type Kind = keyof typeof SENTENCES;

/** The course of a post: its sentences' kinds. */
const COURSES: readonly (readonly Kind[])[] = [
  ['filler', 'trouble', 'trouble', 'ask', 'filler'],
  ['trouble', 'ask'],
  ['story', 'ask'],
  ['trouble', 'trouble', 'ask', 'ask'],
  ['story', 'trouble', 'opinion', 'ask'],
  ['story', 'story', 'opinion'],
  ['story', 'opinion', 'filler', 'ask', 'ask'],
  ['opinion', 'advice', 'opinion'],
  ['advice', 'advice', 'filler', 'advice'],
  ['opinion', 'advice', 'advice', 'story', 'filler'],
  ['filler', 'advice', 'advice'],
  ['sale', 'sale', 'sale', 'filler'],
  ['sale', 'story', 'sale'],
  ['opinion', 'opinion', 'story', 'trouble', 'ask', 'filler'],
  ['story', 'trouble', 'advice', 'filler'],
];

const ADJECTIVES = [
  ...[
    'good',
    'new',
    'old',
    'cheap',
    'small',
    'decent',
    'used',
    'simple',
    'solid',
    'light',
    'heavy',
    'big',
    'fine',
    'noisy',
  ],
  ...[
    'proper',
    'spare',
    'plain',
    'strange',
    'worn',
    'fancy',
    'strong',
    'tiny',
    'broken',
    'lovely',
    'modern',
    'borrowed',
  ],
];
const PRICES = [
  '20 pounds',
  '50 pounds',
  '5 pounds',
  '100 pounds',
  '250 pounds',
  'half the price',
  'a fortune',
  '80 pounds',
];

export interface Post {
  readonly text: string;
  readonly label: string;
}

/** The post of a row; labels are nearly uniform over rows, and do not depend on them. */
export function makePost(seed: number, stream: number, row: number): Post {
  const draws = new Draws(seed, stream, row);
  const topic = topics.get(draws.pick(labels))!;
  return { text: postText(topic, draws), label: topic.label };
}

function postText(topic: Topic, draws: Draws): string {
  const [first, later, quoted] = CHARACTERS[draws.weighted(CHARACTER_WEIGHTS)]!;
  const hand = drawHand(draws, 0.3);
  const say = (kind: Kind, focus: Focus): string => {
    const text = expand(draws.pick(SENTENCES[kind]), slots(topic, focus, draws), draws);
    return write(sentence(text), hand, draws);
  };
  const lines: string[] = [];
  if (quoted !== first || draws.chance(0.08)) {
    const quote = [say('opinion', quoted), ...(draws.chance(0.5) ? [say('advice', quoted)] : [])];
    lines.push(`${draws.pick(names)} ${draws.pick(['wrote', 'says', 'asked'])}:`);
    lines.push(...quote.map((line) => `> ${line}`));
  }
  const body = draws.pick(COURSES).map((kind, i) => say(kind, i === 0 ? first : later));
  if (draws.chance(0.12))
    body.unshift(draws.pick(['Hi all,', 'Hello everyone,', 'Hey folks,', 'Dear group,']));
  if (draws.chance(0.15))
    body.push(draws.pick(['Thanks in advance!', 'Thanks!', 'Cheers', 'Any help is welcome.']));
  if (draws.chance(0.1)) body.push(draws.pick(names));
  lines.push(body.join(' '));
  return lines.join('\n');
}

/** Phrases for the slots of SENTENCES. */
function slots(topic: Topic, focus: Focus, draws: Draws): Fill {
  const lexicon = (): Lexicon => {
    switch (draws.weighted(focus)) {
      case 'own':
        return topic.own;
      case 'shared':
        return topic.shared;
      case 'generic':
        return generic;
      case 'neighbour':
        return topics.get(topic.neighbour)!.own;
      case 'stray':
        return topics.get(draws.pick(labels))!.own;
    }
  };
  const table: Readonly<Record<string, () => string>> = {
    thing: () => draws.zipf(lexicon().things),
    act: () => draws.zipf(lexicon().acts),
    fault: () => draws.zipf(lexicon().faults),
    name: () => draws.zipf(lexicon().names),
    adjective: () => draws.zipf(ADJECTIVES),
    price: () => draws.pick(PRICES),
    person: () => draws.pick(names),
    day: () => draws.pick(days),
    town: () => draws.pick(towns),
    span: () => draws.pick(spans),
  };
  return (slot) => table[slot]!();
}
