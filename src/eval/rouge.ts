/**
 * ROUGE as Google's rouge_score computes it (Lin, "ROUGE: a package for automatic evaluation of summaries", 2004): words in common,
 * pairs of words in common, and longest common subsequences of the whole text (L) or of its lines (Lsum). Its words are of ASCII letters, so
 * that a text in another script has none; Unicode's words (UAX #29) are there for those.
 */
import { checkOneOf } from '../util/checks.js';
import { stem } from './porter.js';

/** One variant of ROUGE for one answer, each figure from 0 to 1. */
export interface RougeScore {
  readonly precision: number;
  readonly recall: number;
  readonly fmeasure: number;
}

/** The variants of ROUGE that are computed, by the names of Google’s rouge_score. */
export const ROUGE_TYPES = ['rouge1', 'rouge2', 'rougeL', 'rougeLsum'] as const;

/** A variant of ROUGE. */
export type RougeType = (typeof ROUGE_TYPES)[number];

/** All variants of ROUGE for one answer. */
export type RougeScores = Readonly<Record<RougeType, RougeScore>>;

/** How ROUGE counts words; defaults are those of rouge_score. */
export interface RougeOptions {
  /** Whether words (of ASCII) longer than three letters are compared by their stems. The default is false, as rouge_score's. */
  readonly useStemmer?: boolean | undefined;
  /** The default is ascii, as rouge_score's. */
  readonly tokenizer?: RougeTokenizer | undefined;
}

/** All scores of one prediction, each between 0 and 1. */
export function rouge(reference: string, prediction: string, options: RougeOptions = {}): RougeScores {
  const { useStemmer = false, tokenizer = 'ascii' } = options;
  checkOneOf('tokenizer', tokenizer, ROUGE_TOKENIZERS);
  const tokens = (text: string): string[] => {
    const words = WORDS[tokenizer](text.toLowerCase());
    return useStemmer
      ? words.map((word) => (word.length > 3 && /^[a-z0-9]+$/.test(word) ? stem(word) : word))
      : words;
  };
  const lines = (text: string): string[][] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map(tokens);
  const [expected, answered] = [tokens(reference), tokens(prediction)];
  return {
    rouge1: ngramScore(expected, answered, 1),
    rouge2: ngramScore(expected, answered, 2),
    rougeL: score(commonSubsequence(expected, answered).length, expected.length, answered.length),
    rougeLsum: summaryScore(lines(reference), lines(prediction)),
  };
}

/** Of a language that none is: by Unicode's rules, and by dictionaries where a script writes no spaces. */
const segmenter = new Intl.Segmenter('und', { granularity: 'word' });

/** The words of a text in lower case. */
const WORDS = {
  ascii: (text) => text.match(/[a-z0-9]+/g) ?? [],
  unicode: (text) =>
    [...segmenter.segment(text)].filter(({ isWordLike }) => isWordLike).map(({ segment }) => segment),
} satisfies Readonly<Record<string, (text: string) => string[]>>;

/** What words are to ROUGE: rouge_score's runs of ASCII letters and digits, or Unicode's words. */
export type RougeTokenizer = keyof typeof WORDS;
/** The ways to take a text apart for ROUGE. */
export const ROUGE_TOKENIZERS = Object.keys(WORDS) as [RougeTokenizer, ...RougeTokenizer[]];

/** Whether the ascii tokenizer drops most letters of a text, so that its scores say little. */
export function isUnread(text: string): boolean {
  const letters = text.match(/\p{L}/gu) ?? [];
  return 2 * letters.filter((letter) => letter > '\x7f').length > letters.length;
}

function score(hits: number, expected: number, answered: number): RougeScore {
  const precision = hits / Math.max(answered, 1);
  const recall = hits / Math.max(expected, 1);
  const fmeasure = hits === 0 ? 0 : (2 * precision * recall) / (precision + recall);
  return { precision, recall, fmeasure };
}

function ngramScore(expected: readonly string[], answered: readonly string[], n: number): RougeScore {
  const ngrams = (tokens: readonly string[]): string[] =>
    Array.from({ length: Math.max(tokens.length - n + 1, 0) }, (_, i) => tokens.slice(i, i + n).join(' '));
  const [wanted, given] = [ngrams(expected), ngrams(answered)];
  const unmatched = counts(wanted);
  const hits = given.filter((ngram) => takeOne(unmatched, ngram)).length;
  return score(hits, wanted.length, given.length);
}

/** A token of a reference line is hit when it lies on its longest common subsequence with any line of the answer, and is unspent on both sides. */
function summaryScore(expected: readonly string[][], answered: readonly string[][]): RougeScore {
  const [wanted, given] = [expected.flat(), answered.flat()];
  const unspent = counts(given);
  let hits = 0;
  for (const line of expected) {
    const union = new Set(answered.flatMap((other) => commonSubsequence(line, other)));
    // The reference's own counts cannot run out: each of its tokens is visited once.
    for (const i of union) if (takeOne(unspent, line[i]!)) hits++;
  }
  return score(hits, wanted.length, given.length);
}

function counts(tokens: readonly string[]): Map<string, number> {
  const result = new Map<string, number>();
  for (const token of tokens) result.set(token, (result.get(token) ?? 0) + 1);
  return result;
}

function takeOne(left: Map<string, number>, token: string): boolean {
  const count = left.get(token) ?? 0;
  if (count === 0) return false;
  left.set(token, count - 1);
  return true;
}

/** Where the tokens of a longest common subsequence stand in `a`; among several, the one that rouge_score's way back finds. */
function commonSubsequence(a: readonly string[], b: readonly string[]): number[] {
  const width = b.length + 1;
  // table[i · width + j]: the length for the first i tokens of a and the first j of b.
  const table = new Int32Array((a.length + 1) * width);
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const at = i * width + j;
      table[at] =
        a[i - 1] === b[j - 1] ? table[at - width - 1]! + 1 : Math.max(table[at - width]!, table[at - 1]!);
    }
  }
  const positions: number[] = [];
  let [i, j] = [a.length, b.length];
  while (i > 0 && j > 0) {
    const at = i * width + j;
    if (a[i - 1] === b[j - 1]) {
      positions.unshift(--i);
      j--;
    } else if (table[at - 1]! > table[at - width]!) j--;
    else i--;
  }
  return positions;
}
