/** Who can be told of a run, by the names that `report_to` has: see CONTRIBUTING.md. */

import { MlflowReports } from './mlflow.js';
import { EventFiles } from './tensorboard.js';
import type { TrackerKind } from './tracker.js';

export const TRACKERS = {
  tensorboard: { toldBy: 'computing', start: () => new EventFiles() },
  mlflow: { toldBy: 'showing', start: (notice) => new MlflowReports(notice) },
} as const satisfies Readonly<Record<string, TrackerKind>>;

export type TrackerName = keyof typeof TRACKERS;

export const TRACKER_NAMES = Object.keys(TRACKERS) as TrackerName[];
