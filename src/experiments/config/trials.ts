/**
 * The trials of a search: points that are drawn from lists and ranges in place of a grid's. What is drawn follows from the seed, the field and
 * the trial alone, so that more trials add to those before, and a further axis leaves the others' values as they were.
 */

import { createHash } from 'node:crypto';
import { philox4x32 } from '../../util/philox.js';
import { WHOLE_FIELDS, type Axis } from './axes.js';
import { canonicalJson } from './hash.js';
import type { Values } from '../../util/settings.js';
import { MOST_POINTS, SEARCH, type Range } from './settings/search.js';

type RangeAxis = Axis & { readonly range: Range };

/** A value that a point takes of an axis. */
export interface Choice {
  readonly axis: Axis;
  readonly value: unknown;
}

/** For each axis, or axes that go in step, the choices of its points. */
export type Dimension = readonly (readonly Choice[])[];

/** Every way to take one of each; the last varies fastest. */
export function product(dimensions: readonly Dimension[]): Choice[][] {
  return dimensions.reduce<Choice[][]>(
    (points, dimension) => points.flatMap((point) => dimension.map((choices) => [...point, ...choices])),
    [[]],
  );
}

/** How many ways there are. */
export function sizeOf(dimensions: readonly Dimension[]): number {
  return dimensions.reduce((n, { length }) => n * length, 1);
}

interface DrawnTrial {
  /** From 1. */
  readonly trial: number;
  readonly chosen: readonly Choice[];
}

/** How often a trial is drawn that may not be, or is there already. */
const MOST_ATTEMPTS = 1000;

/**
 * Different points, each of them allowed. Where there are lists alone each point of theirs is drawn once at most.
 * @returns why there are not so many, instead
 */
export function drawTrials(
  { method, trials, seed = SEARCH.seed.default }: Pick<Values<typeof SEARCH>, 'method' | 'trials' | 'seed'>,
  lists: readonly Dimension[],
  ranges: readonly RangeAxis[],
  allowed: (chosen: readonly Choice[]) => boolean,
): DrawnTrial[] | string {
  const draws = new Draws(seed);
  if (ranges.length === 0 && sizeOf(lists) <= MOST_POINTS) {
    const all = product(lists).filter(allowed);
    // Trials that may stop are something else than all of them, each to its end.
    const most = method === 'asha' ? all.length : all.length - 1;
    if (all.length > 0 && trials > most)
      return method === 'asha'
        ? `draws ${trials} of ${all.length} points: lower trials`
        : `draws ${trials} of ${all.length} points: leave it out, and all of them are run`;
    const place = new Map(all.map((chosen) => [chosen, draws.share(keyOf(chosen), 0, 0)]));
    return all
      .sort((a, b) => place.get(a)! - place.get(b)!)
      .slice(0, trials)
      .map((chosen, i) => ({ trial: i + 1, chosen }));
  }
  const drawn = new Map<string, DrawnTrial>();
  for (let trial = 1; trial <= trials; trial++) {
    const chosen = firstOf(MOST_ATTEMPTS, (attempt) => {
      const found = [
        ...lists.flatMap((choices) => {
          const share = draws.share(nameOf(choices[0]!), trial, attempt);
          return choices[Math.floor(share * choices.length)]!;
        }),
        ...ranges.map((axis) => ({ axis, value: draws.number(axis, trial, attempt) })),
      ];
      return allowed(found) && !drawn.has(keyOf(found)) ? found : undefined;
    });
    if (!chosen) return `finds no more than ${drawn.size} points in these lists and ranges: lower trials`;
    drawn.set(keyOf(chosen), { trial, chosen });
  }
  return [...drawn.values()];
}

function firstOf<T>(most: number, make: (attempt: number) => T | undefined): T | undefined {
  for (let attempt = 0; attempt < most; attempt++) {
    const made = make(attempt);
    if (made !== undefined) return made;
  }
  return undefined;
}

function keyOf(chosen: readonly Choice[]): string {
  return canonicalJson(Object.fromEntries(chosen.map(({ axis, value }) => [axis.path.join('.'), value])));
}

function nameOf(choices: readonly Choice[]): string {
  return choices.map(({ axis }) => axis.path.join('.')).join(' ');
}

/** Tells these draws from others by the same seed. */
const STREAM = 0x7365_6172;

class Draws {
  constructor(private readonly seed: number) {}

  /** From 0 to below 1. */
  share(what: string, trial: number, attempt: number): number {
    const digest = createHash('sha256').update(what).digest();
    const counter = [trial, attempt, digest.readUInt32LE(0), digest.readUInt32LE(4)] as const;
    return philox4x32(counter, [this.seed, STREAM])[0] / 2 ** 32;
  }

  /** Of a range; with three digits, for more tell nothing and cannot be read. */
  number({ path, range }: RangeAxis, trial: number, attempt: number): number {
    const { low, high, log } = range;
    const isWhole = WHOLE_FIELDS.has(path.at(-1)!);
    // Each whole number has as much room as another.
    const [from, to] = isWhole ? [Math.ceil(low) - 0.5, Math.floor(high) + 0.5] : [low, high];
    const share = this.share(path.join('.'), trial, attempt);
    const drawn = log ? from * (to / from) ** share : from + share * (to - from);
    const rounded = isWhole ? Math.round(drawn) : Number(drawn.toPrecision(3));
    return Math.min(high, Math.max(low, rounded));
  }
}
