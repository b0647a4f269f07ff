/**
 * chrF as sacrebleu computes it by default (chrF2: character n-grams up to 6, recall counting twice, no words, white space left out;
 * Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015). Of several answers sacrebleu's corpus score adds up what
 * they have in common before it divides.
 */

/** How long n-grams are at most, in characters (code points). */
const ORDER = 6;
/** How much more recall counts than precision, squared. */
const FACTOR = 2 ** 2;

/** For each length of n-grams: how many the answer has, the reference has, and both have. */
export type ChrfCounts = readonly number[];

/** What Python splits a text at. */
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** The counts of one answer; those of several are added up. Three numbers for each length. */
export function chrfCounts(reference: string, answer: string): ChrfCounts {
  const [expected, given] = [reference, answer].map((text) => Array.from(text.replace(WHITE_SPACE, '')));
  const counts: number[] = [];
  for (let n = 1; n <= ORDER; n++) {
    const wanted = ngrams(expected!, n);
    const total = Math.max(0, expected!.length - n + 1);
    let [own, both] = [0, 0];
    for (const [gram, times] of ngrams(given!, n)) {
      own += times;
      both += Math.min(times, wanted.get(gram) ?? 0);
    }
    // Where the reference has none of a length, the answer's do not count.
    counts.push(total > 0 ? own : 0, total, both);
  }
  return counts;
}

/** From 0 to 1, of one answer's counts or of the sums of several. */
export function chrfOf(counts: ChrfCounts): number {
  let [precision, recall, orders] = [0, 0, 0];
  for (let i = 0; i < 3 * ORDER; i += 3) {
    const [own, wanted, both] = [counts[i]!, counts[i + 1]!, counts[i + 2]!];
    if (own === 0 || wanted === 0) continue;
    precision += both / own;
    recall += both / wanted;
    orders++;
  }
  if (precision + recall === 0) return 0;
  precision /= orders;
  recall /= orders;
  return ((1 + FACTOR) * precision * recall) / (FACTOR * precision + recall);
}

/** sacrebleu's sentence score of one answer, from 0 to 1. */
export function chrf(reference: string, answer: string): number {
  return chrfOf(chrfCounts(reference, answer));
}

function ngrams(characters: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= characters.length; i++) {
    const gram = characters.slice(i, i + n).join('');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}
