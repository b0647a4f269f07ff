/** What a task's settings tell its metric. */

import { METRIC_NAMES, METRICS, type Metric } from '../eval/index.js';
import type { TaskProblem } from './types.js';

/** Settings that are there and belong to another metric than the task's. */
export function foreignSettings(metric: Metric, settings: object): TaskProblem[] {
  const own = METRICS[metric].settings;
  return METRIC_NAMES.flatMap((name) =>
    Object.keys(METRICS[name].settings)
      .filter((key) => !(key in own) && (settings as Readonly<Record<string, unknown>>)[key] !== undefined)
      .map((key) => ({ path: [key], message: `goes with the metric ${METRICS[name].customName}` })),
  );
}
