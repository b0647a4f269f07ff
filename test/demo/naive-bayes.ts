/** A multinomial naive Bayes classifier over words: what little it takes to learn the demonstration's posts, and how far it gets. */

export interface Labelled {
  readonly text: string;
  readonly label: string;
}

const SMOOTHING = 0.1;

/** The share of `test` that a classifier trained on `train` gets right. */
export function naiveBayesAccuracy(train: readonly Labelled[], test: readonly Labelled[]): number {
  const counts = new Map<string, Map<string, number>>();
  const vocabulary = new Set<string>();
  for (const { text, label } of train) {
    const words = counts.get(label) ?? new Map<string, number>();
    counts.set(label, words);
    for (const word of wordsOf(text)) {
      vocabulary.add(word);
      words.set(word, (words.get(word) ?? 0) + 1);
    }
  }
  const classes = [...counts].map(([label, words]) => {
    const total = [...words.values()].reduce((sum, n) => sum + n, 0) + SMOOTHING * vocabulary.size;
    return { label, of: (word: string) => Math.log(((words.get(word) ?? 0) + SMOOTHING) / total) };
  });
  const right = test.filter(({ text, label }) => {
    const known = wordsOf(text).filter((word) => vocabulary.has(word));
    const scores = classes.map((c) => known.reduce((sum, word) => sum + c.of(word), 0));
    return classes[scores.indexOf(Math.max(...scores))]!.label === label;
  });
  return right.length / test.length;
}

/** Words in lower case. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}
