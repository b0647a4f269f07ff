/**
 * Figures that others printed, for the tables' columns of their own. Nothing here was measured by Westwind.
 * Source: https://github.com/georgian-io/LLM-Finetuning-Toolkit, zephyr/README.md, llama2/README.md and their neighbours (2023), in
 * percent. Its first table was printed for Zephyr-7B-alpha while its figures were still Mistral-7B's.
 */

import { own } from '../../util/own.js';
import type { ResolvedSource } from '../config/index.js';
import type { Method } from '../../tasks/index.js';
import type { DataSet, Point } from './findings.js';
import { modelOf } from './findings.js';
import { onAllModules, withNeftune, type Factors } from './factors.js';

/** Names of the tables of published figures. */
export type PublishedName = '20newsgroups' | 'samsum';
export const PUBLISHED_NAMES: readonly PublishedName[] = ['20newsgroups', 'samsum'];

export const PUBLISHED_SOURCE = 'github.com/georgian-io/LLM-Finetuning-Toolkit';

export type Variant = 'plain' | 'NEFTune' | 'all modules' | 'both';

export function variantWord(factors: Factors): Variant {
  if (withNeftune(factors)) return onAllModules(factors) ? 'both' : 'NEFTune';
  return onAllModules(factors) ? 'all modules' : 'plain';
}

/** Training rows of the published learning curves, and their shares of all. */
export const PUBLISHED_SIZES: readonly (readonly [rows: number, fraction: number])[] = [
  [266, 0.025],
  [533, 0.05],
  [1066, 0.1],
  [2666, 0.25],
  [5332, 0.5],
  [10664, 1],
];

export interface PublishedCurve {
  readonly model: string;
  readonly variant: Variant;
  /** Accuracy at each of the sizes. */
  readonly accuracy: readonly number[];
}

export const PUBLISHED_CURVES: readonly PublishedCurve[] = [
  { model: 'Zephyr-7B-beta', variant: 'plain', accuracy: [46.05, 55.66, 66.48, 66.73, 69.54, 74.9] },
  { model: 'Zephyr-7B-beta', variant: 'NEFTune', accuracy: [49.61, 60.33, 64.65, 68.04, 72.1, 72.93] },
  { model: 'Zephyr-7B-beta', variant: 'all modules', accuracy: [65.36, 72.26, 73.29, 74.27, 74.83, 77.76] },
  { model: 'Zephyr-7B-beta', variant: 'both', accuracy: [67.23, 72.94, 72.82, 75.85, 74.4, 77.86] },
  { model: 'Mistral-7B', variant: 'plain', accuracy: [49.3, 48.14, 58.41, 64.89, 73.1, 74.36] },
];

export interface PublishedSummary {
  readonly model: string;
  readonly method: Method;
  readonly variant: Variant;
  readonly rouge1: number;
  readonly rouge2: number;
}

const tuned = (
  model: string,
  rouge1: number,
  rouge2: number,
  variant: Variant = 'plain',
): PublishedSummary => ({
  model,
  method: 'tuned',
  variant,
  rouge1,
  rouge2,
});

export const PUBLISHED_SUMMARIES: readonly PublishedSummary[] = [
  { model: 'Zephyr-7B-beta', method: 'zero_shot', variant: 'plain', rouge1: 33.93, rouge2: 11.21 },
  { model: 'Zephyr-7B-beta', method: 'few_shot', variant: 'plain', rouge1: 35.99, rouge2: 12.97 },
  tuned('Zephyr-7B-beta', 52.84, 27.75),
  tuned('Zephyr-7B-beta', 52.97, 28.44, 'NEFTune'),
  tuned('Zephyr-7B-beta', 53.5, 29.66, 'all modules'),
  tuned('Zephyr-7B-beta', 53.05, 29.23, 'both'),
  { model: 'Mistral-7B', method: 'zero_shot', variant: 'plain', rouge1: 32.77, rouge2: 10.64 },
  { model: 'Mistral-7B', method: 'few_shot', variant: 'plain', rouge1: 38.87, rouge2: 16.71 },
  tuned('Mistral-7B', 53.61, 29.28),
  tuned('Flan-T5-Base', 47.23, 21.01),
  tuned('Flan-T5-Large', 49.21, 23.39),
  tuned('Falcon-7B', 52.18, 27.84),
  tuned('RedPajama-3B', 47.75, 23.53),
  tuned('RedPajama-7B', 49.96, 25.94),
  tuned('Llama2-7B', 51.71, 26.86),
  tuned('Llama2-13B', 52.97, 28.32),
];

/** Which published figures go beside which tasks: by name, none, or those that the data's own name tells. */
export type PublishedChoice = 'auto' | 'none' | Readonly<Record<string, PublishedName>>;

/**
 * The published figures that a data set's stand beside. By itself only where the data is called as theirs was: '20newsgroups' or 'samsum'
 * in its name on the hub, or in the names of its file and the file's folder, whatever stands between the letters.
 */
export function publishedFor(set: DataSet, choice: PublishedChoice): PublishedName | undefined {
  if (choice === 'none') return undefined;
  const named = choice === 'auto' ? undefined : own(choice, set.task);
  if (named !== undefined) return named;
  const source = set.points[0]?.measurements[0]?.task.test;
  const word = source === undefined ? '' : wordOf(source);
  if (set.kind === 'classification' && word.includes('20newsgroups')) return '20newsgroups';
  if (set.kind === 'summarization' && word.includes('samsum')) return 'samsum';
  return undefined;
}

function wordOf({ from }: ResolvedSource): string {
  if ('mixture' in from) return '';
  const name = 'hub' in from ? from.hub : from.path.split(/[\\/]/).slice(-2).join('/');
  return name.toLowerCase().replace(/[^a-z0-9/]/g, '');
}

/** The published model that a point's own is, if any; figures of others are compared with Zephyr-7B-beta's. */
export function publishedModel(point: Point): string {
  const bare = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');
  const model = bare(modelOf(point).split('/').at(-1)!);
  const known = [...new Set([...PUBLISHED_SUMMARIES, ...PUBLISHED_CURVES].map(({ model: of }) => of))];
  return known.find((name) => model.startsWith(bare(name))) ?? 'Zephyr-7B-beta';
}

/** The published accuracy at a point's size: of as many training rows, or of the same share of all. */
export function publishedAccuracy(
  { accuracy }: PublishedCurve,
  rows: number,
  fraction: number | undefined,
): number | undefined {
  const place = PUBLISHED_SIZES.findIndex(([size, share]) => size === rows || share === fraction);
  return accuracy[place];
}
