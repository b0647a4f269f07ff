/** The sets of rows that a task may have: their settings, their loading, their hashes and what is said of them are made of this table. */

interface SplitAbout {
  /** What its section is for; absent: it has none, and is a part that `split` makes of train's rows. */
  readonly section?: string;
  /** As people speak of its rows. */
  readonly rows: string;
}

/** In the order in which they are read and kept. */
export const SPLITS = {
  train: { section: 'Rows to train on, and to choose few-shot examples from.', rows: 'training rows' },
  test: { section: 'Rows to answer and score.', rows: 'test rows' },
  validation: { section: 'Rows to evaluate on while training.', rows: 'validation rows' },
} as const satisfies Readonly<Record<string, SplitAbout>>;

export type SplitName = keyof typeof SPLITS;

export const SPLIT_NAMES = Object.keys(SPLITS) as SplitName[];

/** Those that have a section of their own. */
export type SectionSplit = {
  [Name in SplitName]: (typeof SPLITS)[Name] extends { readonly section: string } ? Name : never;
}[SplitName];

export function isSection(name: SplitName): name is SectionSplit {
  return 'section' in SPLITS[name];
}

export const SECTION_SPLITS = SPLIT_NAMES.filter(isSection);

/** Something for each split. */
export function bySplit<T>(make: (split: SplitName) => T): Record<SplitName, T> {
  return Object.fromEntries(SPLIT_NAMES.map((split) => [split, make(split)])) as Record<SplitName, T>;
}

/** Something for each that has a section. */
export function bySection<T>(make: (split: SectionSplit) => T): Record<SectionSplit, T> {
  return Object.fromEntries(SECTION_SPLITS.map((split) => [split, make(split)])) as Record<SectionSplit, T>;
}
