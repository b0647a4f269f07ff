/**
 * Sentences from templates: `(one|other)` is an alternative, possibly nested, and `{slot}` a phrase; then the ways in which people
 * write: contractions, abbreviations, no capitals, a slip of the finger now and then.
 */
import type { Draws } from './draws.js';

/** The phrase for a slot of a template. */
export type Fill = (slot: string) => string;

/** One text of a template; phrases may be templates themselves. */
export function expand(template: string, fill: Fill, draws: Draws): string {
  let text = template;
  while (text.includes('(')) {
    const before = text;
    text = text.replace(/\(([^()]*)\)/, (_, options: string) => draws.pick(options.split('|')));
    if (text === before) throw new Error(`unbalanced alternatives: ${template}`);
  }
  text = text.replace(/\{(\w+)\}/g, (_, slot: string) => expand(fill(slot), fill, draws));
  return tidy(text);
}

/** With a capital at its beginning. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function tidy(text: string): string {
  return text
    .replace(/ {2,}/g, ' ')
    .replace(/ ([.,?!])/g, '$1')
    .replace(/\b([Aa]) (?=[aeiouAEIOU])(?!uni|use|usb|one|eu)/g, '$1n ')
    .trim();
}

/** How carefully somebody writes. */
export interface Hand {
  readonly contracts: boolean;
  readonly abbreviates: boolean;
  readonly lowerCase: boolean;
  /** Slips a word. */
  readonly slips: number;
}

/** @param casual how likely it is that the hand is a careless one, 0 to 1 */
export function drawHand(draws: Draws, casual: number): Hand {
  const careless = draws.chance(casual);
  return {
    contracts: draws.chance(0.7),
    abbreviates: careless && draws.chance(0.6),
    lowerCase: careless && draws.chance(0.5),
    slips: careless ? 0.015 : 0.002,
  };
}

const CONTRACTIONS: readonly (readonly [RegExp, string])[] = [
  [/\b(do|does|did|is|was|would|could|should|have|has) not\b/g, "$1n't"],
  [/\bcannot\b/g, "can't"],
  [/\bwill not\b/g, "won't"],
  [/\b(I|you|we|they) have (?=been|got|had|never|tried|seen)/g, "$1've "],
  [/\b(I|you|we|they|it|she|he) will\b/g, "$1'll"],
  [/\bI am\b/g, "I'm"],
  [/\b([Ii]t|[Tt]hat|[Tt]here|[Hh]e|[Ss]he|[Ww]hat) is\b(?! *[.,?!])/g, "$1's"],
];

const ABBREVIATIONS: readonly (readonly [RegExp, string])[] = [
  [/\byou\b/gi, 'u'],
  [/\bthanks\b/gi, 'thx'],
  [/\bplease\b/gi, 'pls'],
  [/\bbecause\b/gi, 'cos'],
  [/\bgreat\b/gi, 'gr8'],
  [/\btomorrow\b/gi, 'tmrw'],
  [/\bpeople\b/gi, 'ppl'],
  [/\bprobably\b/gi, 'prob'],
  [/\b(I|you) do(?: not|n't) know\b/gi, 'idk'],
];

/** `text` as the hand writes it. */
export function write(text: string, hand: Hand, draws: Draws): string {
  let written = text;
  if (hand.contracts) written = replaceAll(written, CONTRACTIONS);
  if (hand.abbreviates) written = replaceAll(written, ABBREVIATIONS);
  // Names keep their capitals on most keyboards.
  if (hand.lowerCase) written = written.replace(/(^|[.?!] )([A-Z])(?=[a-z' ])/g, (all) => all.toLowerCase());
  return written.replace(/\b[a-z]{5,}\b/g, (word) => (draws.chance(hand.slips) ? slip(word, draws) : word));
}

function replaceAll(text: string, rules: readonly (readonly [RegExp, string])[]): string {
  return rules.reduce((result, [pattern, by]) => result.replace(pattern, by), text);
}

/** Two letters change places, or one is missing or doubled. */
function slip(word: string, draws: Draws): string {
  const i = 1 + draws.below(word.length - 2);
  const [before, here, next, after] = [word.slice(0, i), word[i]!, word[i + 1]!, word.slice(i + 2)];
  return draws.pick([
    before + next + here + after,
    before + next + after,
    before + here + here + next + after,
  ]);
}
