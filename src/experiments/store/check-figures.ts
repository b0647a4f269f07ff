/** What a check came to, and how tables show it. */

import type { Interval } from '../../eval/index.js';

/** What a check came to over all test rows. */
export interface CheckFigure {
  readonly mean: number;
  /** 95 % interval over the rows: Wilson's of a share, else by bootstrap. */
  readonly interval: Interval;
  /** Its bounds, as the configuration has them. */
  readonly min?: number;
  readonly max?: number;
}

/** A method's checks, kept. */
export interface ChecksFile {
  /** A hash of what the figures were made of. */
  readonly from: string;
  readonly checks: Readonly<Record<string, CheckFigure>>;
  /** Each test row's number, from 0, and figures. */
  readonly rows: readonly Readonly<Record<string, number>>[];
}

/** Whether a figure fails its check. */
export function isOut({ mean, min, max }: CheckFigure): boolean {
  return (min !== undefined && mean < min) || (max !== undefined && mean > max);
}

/** A check's bounds behind its name: ' ≥ 0.3', ' 0.5 to 2', or nothing. */
export function boundsText({ min, max }: Pick<CheckFigure, 'min' | 'max'>): string {
  if (min !== undefined && max !== undefined) return ` ${min} to ${max}`;
  if (min !== undefined) return ` ≥ ${min}`;
  return max === undefined ? '' : ` ≤ ${max}`;
}

/** A check's figure as tables show it. */
export function figureText(figure: number): string {
  return figure.toFixed(Math.abs(figure) < 100 ? 3 : 1);
}
