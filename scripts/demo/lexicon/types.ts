/** The shape of the demonstration posts' vocabulary: what a topic has of its own, and what it shares with its neighbour. */

export interface Lexicon {
  /** Singular noun phrases without an article, the commonest first, as in every list here. */
  readonly things: readonly string[];
  /** Verb phrases in the base form. */
  readonly acts: readonly string[];
  /** Clauses that say what goes wrong. */
  readonly faults: readonly string[];
  /** Invented proper names that go with 'the'; rare. */
  readonly names: readonly string[];
}

/** Two topics that are easily taken for each other, and the words that both use. */
export interface Family {
  readonly shared: Lexicon;
  readonly topics: Readonly<Record<string, Lexicon>>;
}

/** Phrases between commas. */
export function list(text: string): string[] {
  return text
    .split(',')
    .map((phrase) => phrase.trim().replace(/\s+/g, ' '))
    .filter((phrase) => phrase !== '');
}

/** A lexicon from four comma-separated lists. */
export function lexicon(things: string, acts: string, faults: string, names = ''): Lexicon {
  return { things: list(things), acts: list(acts), faults: list(faults), names: list(names) };
}
