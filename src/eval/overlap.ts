/** Simple measures of an answer against its reference, by their words: runs of letters and digits of any script, in lower case. */

/** Words of the answer for each word of the reference. */
export function lengthRatio(reference: string, answer: string): number {
  return words(answer).length / Math.max(words(reference).length, 1);
}

/** The share of the reference's different words that the answer has; 1 for a reference without words. */
export function wordOverlap(reference: string, answer: string): number {
  const [wanted, given] = [new Set(words(reference)), new Set(words(answer))];
  return wanted.size === 0 ? 1 : common(wanted, given) / wanted.size;
}

/**
 * Different words that both have over those that either has (Jaccard, "The distribution of the flora in the alpine zone", 1912); 1 where
 * neither has any.
 */
export function jaccard(reference: string, answer: string): number {
  const [wanted, given] = [new Set(words(reference)), new Set(words(answer))];
  const both = common(wanted, given);
  const either = wanted.size + given.size - both;
  return either === 0 ? 1 : both / either;
}

function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

function common(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  return [...a].filter((word) => b.has(word)).length;
}
