/** Checks that failed: for the command's exit code. */

import { isOut } from '../store/check-figures.js';
import type { TaskResult } from '../store/results.js';

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
