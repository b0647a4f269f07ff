/** Settings of where rows come from: a file or a data set on the hub, how many are taken, and how one file's are parted. */

import { z } from 'zod';
import { TABLE_FORMATS, type TableFormat } from '../../../data/index.js';
import { flag, part, section, seed, setting, text, whole } from '../../../util/settings.js';
import { bySplit, isSection, type SectionSplit, type SplitName } from '../splits.js';

/** Rows to answer are the same for every seed of a study, or its figures would differ by the rows, too. */
const TEST_SEED = 42;

/** Rows to read: from where, which columns under which of the task's names, and how many. */
export interface ResolvedSource {
  readonly from:
    | { readonly path: string; readonly format?: TableFormat; readonly delimiter?: string }
    | {
        readonly hub: string;
        readonly config?: string;
        readonly split: string;
        readonly revision?: string;
      };
  /** The data's column for each of the task's. */
  readonly columns: Readonly<Record<string, string>>;
  /** At most one of the two is there; neither: all rows. */
  readonly fraction?: number;
  readonly count?: number;
  /** Draw by label. */
  readonly stratify: boolean;
  /** Which rows are drawn; absent: those of the run's own seed. */
  readonly seed?: number;
  /** The part of the rows that this is, where a split makes several of one file. */
  readonly part?: ResolvedPart;
}

export interface ResolvedPart {
  readonly of: SplitName;
  /** Shares of all rows below 1, or numbers of rows. */
  readonly test?: number;
  readonly validation?: number;
  readonly stratify: boolean;
  readonly seed: number;
}

/** Whether some of a source's rows are drawn, and not all taken. */
export function isDrawn({ count, fraction }: ResolvedSource): boolean {
  return count !== undefined || (fraction ?? 1) !== 1;
}

/** `columns`: those that the task names. */
function sourceSettings<Columns extends z.ZodType>(columns: Columns) {
  return {
    path: setting(
      text,
      'A CSV, TSV, JSON, JSONL or Parquet file, relative to this configuration or to the working folder.',
    ),
    format: setting(z.enum(TABLE_FORMATS), 'Default: by the file’s name.'),
    delimiter: setting(
      z.string().regex(/^[^"\r\n]$/, { error: 'must be one character; a tab is "\\t" in double quotes' }),
      'What parts a CSV file’s fields. Default: a comma, tab, semicolon or bar, recognised by the first lines.',
    ),
    hub: setting(text, 'A data set on the Hugging Face hub, in place of a path.'),
    config: setting(text, 'The hub data set’s configuration. Default: its default one.'),
    split: setting(text, 'The hub data set’s split. Default: as the section is named.'),
    revision: setting(text, 'The hub data set’s branch, tag or commit. Default: its Parquet branch.'),
    columns: setting(columns, 'This source’s column names, where they differ from the task’s.'),
    fraction: setting(part, 'Take this share of the rows.'),
    count: setting(whole(1), 'Take this many rows.'),
    stratify: setting(flag, 'Draw each label’s share alike; for tasks with labels. Default true there.'),
    seed: setting(
      seed,
      `Which rows fraction or count take. Default: the top level’s for train; else ${TEST_SEED}, so that runs of several seeds answer the same rows.`,
    ),
  };
}

/** A file, or a data set on the hub. */
export function dataSource<Columns extends z.ZodType>(columns: Columns) {
  return section(sourceSettings(columns)).superRefine((source, context) => {
    // Of a generic type zod tells no fields.
    const given = source as Readonly<Record<string, unknown>>;
    const refuse = (message: string, ...path: string[]): void =>
      context.addIssue({ code: 'custom', path, message });
    if ((given['path'] === undefined) === (given['hub'] === undefined))
      refuse(`needs either 'path' (a file) or 'hub' (a data set on the hub)`);
    const [others, message] =
      given['path'] !== undefined
        ? [['config', 'split', 'revision'], `goes with 'hub'; a file has none`]
        : [['format', 'delimiter'], `goes with 'path'; the hub’s data is Parquet`];
    for (const key of others) if (given[key] !== undefined) refuse(message, key);
    if (given['fraction'] !== undefined && given['count'] !== undefined)
      refuse(`cannot be given together with 'fraction'`, 'count');
  });
}

/** Which training rows are left out as repeats of an earlier one, and which because they stand in the rows that are tested. */
export const DEDUPLICATE = ['exact', 'near'] as const;
export type Deduplicate = (typeof DEDUPLICATE)[number];
export const DECONTAMINATE = ['exact', 'ngram'] as const;
export type Decontaminate = (typeof DECONTAMINATE)[number];

export const LEAVING_OUT = {
  deduplicate: setting(
    z.union([z.literal(false), z.enum(DEDUPLICATE)]),
    'Leave out training rows whose text an earlier one has (exact), or has four fifths of, by runs of five words (near). Default false.',
  ),
  decontaminate: setting(
    z.union([z.literal(false), z.enum(DECONTAMINATE)]),
    'Leave out training rows whose text a test or validation row has (exact), or has 13 words in a row of (ngram). Default false.',
  ),
};

const partSize = z
  .number()
  .gt(0)
  .refine((size) => size < 1 || Number.isInteger(size), {
    error: 'must be a share below 1, or a number of rows',
  });

const SPLIT = {
  test: setting(partSize, 'Rows to test on: a share of all, or a number.'),
  validation: setting(
    partSize,
    'Rows to leave out of the training for later choices: a share of all, or a number.',
  ),
  stratify: setting(flag, 'Give each part each label’s share; for tasks with labels. Default true there.'),
  seed: setting(
    seed,
    'Which rows go where; the same for runs of several seeds, so that they answer the same rows.',
    { default: TEST_SEED },
  ),
};

export const split = section(SPLIT).refine(
  ({ test, validation }) => test !== undefined || validation !== undefined,
  { error: `needs 'test', 'validation' or both` },
);

/** Where the rows of each set are. */
export type ResolvedSplits = Readonly<Partial<Record<SplitName, ResolvedSource>>>;

/** Whether `split` can make it of train's rows. */
function isPart(name: SplitName): name is 'test' | 'validation' {
  return name in SPLIT;
}

/** What of a task's section is about its rows. */
export interface RowsSection extends Readonly<Partial<Record<SectionSplit, SourceSection | undefined>>> {
  readonly columns?: Columns | undefined;
  readonly split?: z.output<typeof split> | undefined;
}
type Columns = Readonly<Record<string, string | undefined>>;
type SourceSection = z.output<ReturnType<typeof dataSource<z.ZodType<Columns>>>>;

/** Whether it has a file, and a hash, of its own; the parts of test have theirs nevertheless, for it is in the ids of runs. */
export function isOwn(split: SplitName, { part }: ResolvedSource): boolean {
  return split === 'train' || split === 'test' || part === undefined;
}

export function isTested({ test, split }: RowsSection): boolean {
  return test !== undefined || split?.test !== undefined;
}

/** `roles`: the task's columns. `labelled`: whether its rows have labels to draw by. */
export function resolveRows(
  section: RowsSection,
  roles: readonly string[],
  labelled: boolean,
): ResolvedSplits {
  const source = (split: SectionSplit): ResolvedSource | undefined =>
    resolveSource(section, split, roles, labelled);
  /** A part of the training file's rows, all of it, whatever sample of its own part is trained on. */
  const partSource = (of: ResolvedPart['of']): ResolvedSource | undefined => {
    if (!all) return undefined;
    const { from, columns, stratify } = all;
    return { from, columns, stratify, ...partOf(section, of, labelled) };
  };
  const all = source('train');
  const resolved = bySplit((name): ResolvedSource | undefined => {
    if (name === 'train') return all && { ...all, ...partOf(section, name, labelled) };
    if (isPart(name) && section.split?.[name] !== undefined) return partSource(name);
    return isSection(name) ? source(name) : undefined;
  });
  return Object.fromEntries(Object.entries(resolved).filter(([, found]) => found !== undefined));
}

function partOf(
  { split }: RowsSection,
  of: ResolvedPart['of'],
  labelled: boolean,
): { readonly part: ResolvedPart } | undefined {
  if (split === undefined) return undefined;
  const { test, validation, stratify = labelled, seed = SPLIT.seed.default } = split;
  const sizes = { ...(test !== undefined && { test }), ...(validation !== undefined && { validation }) };
  return { part: { of, ...sizes, stratify, seed } };
}

function resolveSource(
  section: RowsSection,
  split: SectionSplit,
  roles: readonly string[],
  labelled: boolean,
): ResolvedSource | undefined {
  const source = section[split];
  if (source === undefined) return undefined;
  const seed = source.seed ?? (split === 'train' ? undefined : TEST_SEED);
  const given: Columns = { ...section.columns, ...source.columns };
  const { path, hub, format, delimiter, config, revision, fraction, count } = source;
  return {
    from:
      path !== undefined
        ? { path, ...(format && { format }), ...(delimiter !== undefined && { delimiter }) }
        : {
            hub: hub!,
            split: source.split ?? split,
            ...(config && { config }),
            ...(revision && { revision }),
          },
    columns: Object.fromEntries(
      roles.map((role) => [role, Object.hasOwn(given, role) ? given[role]! : role]),
    ),
    ...(fraction !== undefined && { fraction }),
    ...(count !== undefined && { count }),
    stratify: source.stratify ?? labelled,
    ...(seed !== undefined && { seed }),
  };
}
