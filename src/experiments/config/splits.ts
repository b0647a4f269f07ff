/** The sets of rows that a task may have: their settings, their loading, their hashes and what is said of them are made of this table. */

interface SplitAbout {
  /** What its section is for; absent: it has none, and is a part that `split` makes of train's rows. */
  readonly section?: string;
  /** As people speak of its rows. */
  readonly rows: string;
}

/** In the order in which they are read and told. */
export const SPLITS = {
  train: { section: 'Rows to train on, and to choose few-shot examples from.', rows: 'training rows' },
  validation: { rows: 'validation rows' },
  test: { section: 'Rows to answer and score.', rows: 'test rows' },
} as const satisfies Readonly<Record<string, SplitAbout>>;

export type SplitName = keyof typeof SPLITS;

export const SPLIT_NAMES = Object.keys(SPLITS) as SplitName[];

/** Those that have a section of their own. */
export type SectionSplit = {
  [Name in SplitName]: (typeof SPLITS)[Name] extends { readonly section: string } ? Name : never;
}[SplitName];

export const SECTION_SPLITS = SPLIT_NAMES.filter((name): name is SectionSplit => 'section' in SPLITS[name]);

/** Something for each split. */
export function bySplit<T>(make: (split: SplitName) => T): Record<SplitName, T> {
  return Object.fromEntries(SPLIT_NAMES.map((split) => [split, make(split)])) as Record<SplitName, T>;
}
