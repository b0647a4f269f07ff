/** Tells TensorBoard: an event file in the task's folder, which TensorBoard finds by itself. */

import { join } from 'node:path';
import { EventFile } from './tfevents.js';
import type { TrackedTask, Tracker } from './tracker.js';

/** TensorBoard takes every file that has `tfevents` in its name. */
export const EVENTS = 'events.out.tfevents.westwind';

export class EventFiles implements Tracker {
  /** By the tasks' folders; `end`: of the steps that were read. */
  private readonly tasks = new Map<string, { readonly file: EventFile; end: number }>();

  /** Throws UserError where another program's file stands in its place. */
  see(task: TrackedTask): void {
    let own = this.tasks.get(task.folder);
    if (!own) this.tasks.set(task.folder, (own = { file: new EventFile(join(task.folder, EVENTS)), end: 0 }));
    const { events, end } = task.steps(own.end);
    own.end = end;
    // What stands in the file already it leaves out.
    for (const event of [...events, ...task.evaluations(), ...task.figures()]) own.file.append(event);
  }
}
