/**
 * Training of a byte-pair encoding (Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units", 2016) in
 * the manner of Llama's tokenizers: a space is part of the word behind it, written '▁', no piece reaches across words, and a character
 * that has no piece falls back to its bytes.
 */

export interface Bpe {
  /** Pieces that merges made, in their order. */
  readonly merged: readonly string[];
  /** The two pieces that made each. */
  readonly merges: readonly (readonly [string, string])[];
}

/** Letters with what follows an apostrophe, up to two digits, or other signs: each with the space before it. */
const WORDS = /▁?[A-Za-z]+(?:'[a-z]+)?|▁?[0-9]{1,2}|▁?[^A-Za-z0-9▁\n]+/g;

/** How often each word stands in the texts, times `weight`, added to `counts`. */
export function countWords(
  texts: Iterable<string>,
  counts = new Map<string, number>(),
  weight = 1,
): Map<string, number> {
  for (const text of texts) {
    for (const [word] of `▁${text.replaceAll(' ', '▁')}`.matchAll(WORDS)) {
      counts.set(word, (counts.get(word) ?? 0) + weight);
    }
  }
  return counts;
}

interface Pair {
  readonly left: string;
  readonly right: string;
  count: number;
  /** Words that hold it, or held it once. */
  readonly words: Set<number>;
}

/** The `size` most useful merges. The commonest pair first; among equals the first by code unit, so that order does not matter. */
export function trainBpe(counts: ReadonlyMap<string, number>, size: number): Bpe {
  const words = [...counts].map(([word, count]) => ({ pieces: Array.from(word), count }));
  const pairs = new Map<string, Pair>();
  const count = (word: number, sign: 1 | -1): void => {
    const { pieces, count } = words[word]!;
    for (let i = 0; i + 1 < pieces.length; i++) {
      const key = `${pieces[i]!} ${pieces[i + 1]!}`;
      let pair = pairs.get(key);
      if (pair === undefined) {
        pair = { left: pieces[i]!, right: pieces[i + 1]!, count: 0, words: new Set() };
        pairs.set(key, pair);
      }
      pair.count += sign * count;
      pair.words.add(word);
    }
  };
  for (const word of words.keys()) count(word, 1);

  const merges: (readonly [string, string])[] = [];
  const merged = new Set<string>();
  while (merged.size < size) {
    let best: [string, Pair] | undefined;
    for (const entry of pairs) {
      const ahead = entry[1].count - (best?.[1].count ?? 0);
      if (ahead > 0 || (ahead === 0 && best !== undefined && entry[0] < best[0])) best = entry;
    }
    if (best === undefined)
      throw new Error(`the texts have words for ${merged.size} pieces only, not ${size}`);
    const { left, right, words: holders } = best[1];
    for (const word of holders) {
      count(word, -1);
      words[word]!.pieces = mergePair(words[word]!.pieces, left, right);
      count(word, 1);
    }
    pairs.delete(best[0]);
    merges.push([left, right]);
    merged.add(left + right);
  }
  return { merged: [...merged], merges };
}

function mergePair(pieces: readonly string[], left: string, right: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    const joined = pieces[i] === left && pieces[i + 1] === right;
    result.push(joined ? left + right : pieces[i]!);
    if (joined) i++;
  }
  return result;
}
