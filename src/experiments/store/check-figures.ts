/** What checks came to: for tables, and for the command's exit code. */

import type { Interval } from '../../eval/index.js';
import type { TaskResult } from './results.js';

/** What a check came to over all test rows. */
export interface CheckFigure {
  readonly mean: number;
  /** 95 % interval over the rows: Wilson's of a share, else by bootstrap. */
  readonly interval: Interval;
  /** Its bounds, as the configuration has them. */
  readonly min?: number;
  readonly max?: number;
}

/** A line for each figure that is out of its check's bounds: of the tuned model where there is one, else of every method. */
export function failedChecks(results: readonly TaskResult[]): string[] {
  return results.flatMap(({ task, methods }) => {
    const tuned = methods.filter(({ method }) => method === 'tuned');
    return (tuned.length > 0 ? tuned : methods).flatMap(({ method, checks = {} }) =>
      Object.entries(checks).flatMap(([name, figure]) => {
        if (!isOut(figure)) return [];
        const { mean, min, max } = figure;
        const bound = min !== undefined && mean < min ? `below its min ${min}` : `above its max ${max!}`;
        return [`${task}, ${method}: ${name} is ${Number(mean.toPrecision(6))}, ${bound}`];
      }),
    );
  });
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
