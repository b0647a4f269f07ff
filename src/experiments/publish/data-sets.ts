/** What a card says of data: names and hashes, never rows, nor where they lie on somebody's machine. */

import { basename } from 'node:path';
import type { ResolvedSource, ResolvedTask } from '../config/index.js';
import type { SplitName } from '../config/splits.js';
import type { Manifest } from '../store/manifest.js';

export interface DataSet {
  readonly name: string;
  /** The data sets of the hub that it is made of. */
  readonly hub: readonly string[];
  readonly split?: string;
  /** Of what has its own file. */
  readonly hash?: string | undefined;
}

/** A task's; undefined: it has no such rows. */
export function dataSetOf(
  { fingerprints: { data } }: Manifest,
  task: ResolvedTask,
  split: SplitName,
): DataSet | undefined {
  const source = task[split];
  if (!source) return undefined;
  const hash = data[`${task.name}.${split}`];
  return { ...named(source), ...(hash !== undefined && { hash }) };
}

function named({ from }: Pick<ResolvedSource, 'from'>): DataSet {
  if ('mixture' in from) {
    const { mixture } = from;
    return {
      name: mixture.map(({ name }) => name).join(' + '),
      hub: mixture.flatMap((one) => named(one).hub),
    };
  }
  if ('path' in from) return { name: basename(from.path), hub: [] };
  return { name: from.hub, hub: [from.hub], split: from.split };
}
