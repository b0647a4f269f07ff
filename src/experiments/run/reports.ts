/** Tells the trackers that a run's `report_to` names, those of a process. */

import { join } from 'node:path';
import type { ResolvedConfig } from '../config/index.js';
import type { TaskResult } from '../store/results.js';
import { TRACKERS, type TrackerName } from '../trackers/index.js';
import type { Tracker, TrackerKind, TrackingEnd } from '../trackers/tracker.js';
import { RecordedTask } from './tracked.js';

export class Reports {
  private readonly trackers = new Map<TrackerName, Tracker>();
  private readonly tasks = new Map<string, RecordedTask>();

  /** `notice`: tells a person something. */
  constructor(
    private readonly process: TrackerKind['toldBy'],
    private readonly notice: (text: string) => void,
  ) {}

  /** A task has begun, or something was recorded of it; `result`: all its figures. */
  see(config: ResolvedConfig, runFolder: string, name: string, result?: TaskResult): void {
    const told = config.report_to.filter((tracker) => TRACKERS[tracker].toldBy === this.process);
    if (told.length === 0) return;
    const key = join(runFolder, name);
    const task = this.tasks.get(key) ?? new RecordedTask(runFolder, name, config);
    this.tasks.set(key, task);
    task.result = result ?? task.result;
    for (const tracker of told) this.tracker(tracker).see(task);
  }

  async end(how: TrackingEnd): Promise<void> {
    await Promise.all([...this.trackers.values()].map((tracker) => tracker.end?.(how)));
  }

  abort(): void {
    for (const tracker of this.trackers.values()) tracker.abort?.();
  }

  private tracker(name: TrackerName): Tracker {
    const tracker = this.trackers.get(name) ?? TRACKERS[name].start(this.notice);
    this.trackers.set(name, tracker);
    return tracker;
  }
}
