/** Settings of where rows come from: a file or a data set on the hub, how many are taken, and how one file's are parted. */

import { basename } from 'node:path';
import { z } from 'zod';
import { TABLE_FORMATS, type TableFormat } from '../../../data/index.js';
import {
  flag,
  part,
  positive,
  section,
  seed,
  setting,
  text,
  whole,
  withDefaults,
  type Settings,
} from '../../../util/settings.js';
import { bySplit, isSection, type SectionSplit, type SplitName } from '../splits.js';

/** Rows to answer are the same for every seed of a study, or its figures would differ by the rows, too. */
const TEST_SEED = 42;

/** A file, or a data set on the hub. */
export type From =
  | { readonly path: string; readonly format?: TableFormat; readonly delimiter?: string }
  | {
      readonly hub: string;
      readonly config?: string;
      readonly split: string;
      readonly revision?: string;
    };

/** When a mixture by weights has as many rows as it should; the names and their meaning are those of datasets' interleave_datasets. */
const STOPPING_STRATEGIES = ['first_exhausted', 'all_exhausted'] as const;

/** Several sources as one. */
export interface FromMixture {
  readonly mixture: readonly MixedSource[];
  readonly stopping_strategy: (typeof STOPPING_STRATEGIES)[number];
}

/** One of them. */
export interface MixedSource extends ResolvedSource<From> {
  /** As messages and records call it. */
  readonly name: string;
  /** Its share of the mixture's rows, beside the others'; where none has one, all rows are taken. */
  readonly weight?: number;
}

/** Rows to read: from where, which columns under which of the task's names, and how many. */
export interface ResolvedSource<F = From | FromMixture> {
  readonly from: F;
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

/** What a source may be, and which of its settings do not go with it. */
const ORIGINS: Readonly<Record<string, readonly [others: readonly string[], message: string]>> = {
  path: [['config', 'split', 'revision'], `goes with 'hub'; a file has none`],
  hub: [['format', 'delimiter'], `goes with 'path'; the hub’s data is Parquet`],
  mixture: [['format', 'delimiter', 'config', 'split', 'revision'], 'goes with a source of the mixture'],
};

/** A source's section. */
function sourceSection<S extends Settings>(settings: S) {
  return section(settings).superRefine((source, context) => {
    // Of a generic type zod tells no fields.
    const given = source as Readonly<Record<string, unknown>>;
    const refuse = (message: string, ...path: string[]): void =>
      context.addIssue({ code: 'custom', path, message });
    const origins = Object.keys(ORIGINS).filter((key) => given[key] !== undefined);
    if (origins.length > 1 && origins.includes('mixture'))
      refuse(`has 'mixture' beside '${origins[0]!}': make that one of the mixture's sources`);
    else if (origins.length !== 1) refuse(`needs either 'path' (a file) or 'hub' (a data set on the hub)`);
    const [others, message] = ORIGINS[origins[0] ?? 'hub']!;
    for (const key of others) if (given[key] !== undefined) refuse(message, key);
    if (given['fraction'] !== undefined && given['count'] !== undefined)
      refuse(`cannot be given together with 'fraction'`, 'count');
  });
}

/** A file, or a data set on the hub. */
export function dataSource<Columns extends z.ZodType>(columns: Columns) {
  return sourceSection(sourceSettings(columns));
}

const MIXED = {
  name: setting(text, 'What messages and records call it. Default: the file’s or the data set’s name.'),
  weight: setting(
    positive,
    'Its share of the mixture’s rows, as a number beside the others’. Default: all rows of all sources.',
  ),
};

const MIXTURE = {
  stopping_strategy: setting(
    z.enum(STOPPING_STRATEGIES),
    'With weights: rows are taken until one source has no more (first_exhausted), or until all were taken, those of the others repeatedly (all_exhausted).',
    { default: STOPPING_STRATEGIES[0] },
  ),
};

/** The same, or several of them. */
export function mixedSource<Columns extends z.ZodType>(columns: Columns) {
  const one = sourceSection({ ...sourceSettings(columns), ...MIXED });
  return sourceSection({
    ...sourceSettings(columns),
    mixture: setting(z.array(one).min(1), 'Several sources, in place of a path.'),
    ...MIXTURE,
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
  readonly train?: TrainSection | undefined;
  readonly columns?: Columns | undefined;
  readonly split?: z.output<typeof split> | undefined;
}
type Columns = Readonly<Record<string, string | undefined>>;
type SourceSection = z.output<ReturnType<typeof dataSource<z.ZodType<Columns>>>>;
export type TrainSection = z.output<ReturnType<typeof mixedSource<z.ZodType<Columns>>>>;

/** What of a mixture does not fit together, by the keys below it. */
export function mixtureProblems({
  mixture = [],
}: TrainSection): [path: (string | number)[], message: string][] {
  const names = mixture.map(({ name, path, hub }) => name ?? (path === undefined ? hub : basename(path)));
  const weighted = mixture.filter(({ weight }) => weight !== undefined).length;
  return mixture.flatMap(({ weight }, i): [(string | number)[], string][] => [
    ...(names.indexOf(names[i]) < i
      ? [
          [[i], `has the name ${names[i]!}, which an earlier source has: give it a 'name' of its own`] as [
            number[],
            string,
          ],
        ]
      : []),
    ...(weight === undefined && weighted > 0
      ? [[[i], `needs a 'weight', for another source has one`] as [number[], string]]
      : []),
  ]);
}

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
  const source: TrainSection | undefined = section[split];
  if (source === undefined) return undefined;
  const columns = { ...section.columns, ...source.columns };
  const drawn = drawnOf(source, split, columns, roles, labelled);
  const { mixture, stopping_strategy } = source;
  if (mixture === undefined) return { from: fromOf(source, split), ...drawn };
  const parts = mixture.map((one): MixedSource => {
    const from = fromOf(one, split);
    const name = one.name ?? ('path' in from ? basename(from.path) : from.hub);
    const own = drawnOf(one, split, { ...columns, ...one.columns }, roles, labelled);
    return { name, from, ...own, ...(one.weight !== undefined && { weight: one.weight }) };
  });
  return { from: { mixture: parts, ...withDefaults(MIXTURE, { stopping_strategy }) }, ...drawn };
}

function fromOf(
  { path, hub, format, delimiter, config, revision, split: named }: SourceSection,
  split: SectionSplit,
): From {
  return path !== undefined
    ? { path, ...(format && { format }), ...(delimiter !== undefined && { delimiter }) }
    : { hub: hub!, split: named ?? split, ...(config && { config }), ...(revision && { revision }) };
}

/** What is taken of a source's rows. */
function drawnOf(
  { fraction, count, ...source }: SourceSection,
  split: SectionSplit,
  given: Columns,
  roles: readonly string[],
  labelled: boolean,
): Omit<ResolvedSource, 'from' | 'part'> {
  const seed = source.seed ?? (split === 'train' ? undefined : TEST_SEED);
  return {
    columns: Object.fromEntries(
      roles.map((role) => [role, Object.hasOwn(given, role) ? given[role]! : role]),
    ),
    ...(fraction !== undefined && { fraction }),
    ...(count !== undefined && { count }),
    stratify: source.stratify ?? labelled,
    ...(seed !== undefined && { seed }),
  };
}
