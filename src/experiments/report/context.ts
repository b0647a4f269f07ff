/** What the sections of a report share: the choice of published figures, the CSV files, families of paired tests. */

import { holm } from '../../eval/index.js';
import { compare } from './evidence.js';
import type { PublishedName } from './published.js';
import type { Compared } from './sheet.js';
import { modelOf, trainRows, varyingModels, type DataSet, type Point } from './findings.js';

export interface Context {
  readonly published: (set: DataSet) => PublishedName | undefined;
  /** The texts of a data set's test rows by their numbers, where they are there. */
  readonly texts: (set: DataSet) => ReadonlyMap<number, string> | undefined;
  /** Adds a file below tables/. */
  readonly csv: (name: string, text: string) => void;
}

/** Two points to compare, the second by a name. */
export interface Pair {
  readonly point: Point;
  readonly reference: Point;
  readonly name: string;
}

/** The paired tests of one table, corrected together as Holm does. */
export function compareAll(pairs: readonly Pair[], figure: string): Map<Point, Compared> {
  const made = pairs.flatMap(({ point, reference, name }) => {
    const comparison = compare(point, reference, figure);
    return comparison ? [{ point, name, comparison }] : [];
  });
  const corrected = holm(made.map(({ comparison }) => comparison.p));
  return new Map(
    made.map(({ point, name, comparison }, i) => [point, { name, comparison, pHolm: corrected[i]! }]),
  );
}

/** From where on a difference is called significant. */
export const ALPHA = 0.05;

/** A way and its size in running text: 'QLoRA, all modules, trained on 450 rows'. */
export function describe(point: Point, names: ReadonlyMap<Point, string>): string {
  const rows = trainRows(point);
  const sizes = new Set([...names.keys()].map(trainRows).filter((n) => n !== undefined));
  const model = varyingModels([...names.keys()]) ? `${modelOf(point)}, ` : '';
  const size =
    point.method === 'tuned' && sizes.size > 1 && rows !== undefined
      ? `, ${rows.toLocaleString('en-US')} training rows`
      : '';
  return `${model}${names.get(point)!}${size}`;
}
