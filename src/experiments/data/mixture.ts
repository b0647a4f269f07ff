/**
 * Training rows of several sources. With weights an epoch has so many rows of each that their shares are the weights': until the first
 * source has no more, or until all were taken, those of the others repeatedly, as datasets' interleave_datasets does it; but exactly so
 * many, where that draws. The rows then go in an order that seed and numbers alone determine.
 */

import type { Sample } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { RandomState } from '../../util/mt19937.js';
import type { FromMixture, MixedSource } from '../config/settings/rows.js';

export interface Mixed {
  readonly samples: readonly Sample[];
  readonly notice: string;
}

/**
 * @param samples the rows that there are, of all sources
 * @param draw so many rows of a source, fewer than there are
 */
export function mixed(
  samples: readonly Sample[],
  { mixture, stopping_strategy }: FromMixture,
  seed: number,
  draw: (samples: readonly Sample[], count: number, source: MixedSource) => readonly Sample[],
): Mixed {
  const groups = mixture.map((source) => {
    const own = samples.filter((sample) => sample.source!.name === source.name);
    if (own.length === 0)
      throw new UserError(`not one row of ${source.name} is left: leave it out of the mixture`);
    return own;
  });
  const sizes = mixtureSizes(
    groups.map((group) => group.length),
    mixture.map(({ weight }) => weight),
    stopping_strategy,
  );
  const chosen = groups.flatMap((group, i) => {
    const [size, copies] = [sizes[i]!, Math.floor(sizes[i]! / group.length)];
    const rest = size - copies * group.length;
    return [
      ...Array.from({ length: copies }, () => group).flat(),
      ...(rest > 0 ? draw(group, rest, mixture[i]!) : []),
    ];
  });
  const order = new RandomState(seed).permutation([...chosen.keys()]);
  const told = mixture.map(({ name }, i) => `${sizes[i]!} of the ${groups[i]!.length} rows of ${name}`);
  return {
    samples: order.map((i) => chosen[i]!),
    notice: `an epoch has ${told.join(', ')}`,
  };
}

/** How many rows of each source an epoch has; all, where there are no weights. */
export function mixtureSizes(
  sizes: readonly number[],
  weights: readonly (number | undefined)[],
  strategy: FromMixture['stopping_strategy'],
): number[] {
  if (weights.includes(undefined)) return [...sizes];
  const epochs = sizes.map((size, i) => size / weights[i]!);
  const first = strategy === 'first_exhausted';
  const scale = first ? Math.min(...epochs) : Math.max(...epochs);
  return sizes.map((size, i) => {
    const wanted = Math.round(weights[i]! * scale);
    return first ? Math.min(size, Math.max(1, wanted)) : Math.max(size, wanted);
  });
}
