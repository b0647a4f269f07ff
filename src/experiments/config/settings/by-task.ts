/** Defaults that are another for each kind of task: each task's file has its own. */

import { TASK_NAMES, tasks, type TaskDefaults } from '../../../tasks/index.js';
import type { DerivedDefault } from '../../../util/settings.js';

/** The default of a setting as the tasks have it: '8 for classification and custom, 64 for summarization'. */
export function byTask<K extends keyof TaskDefaults>(
  key: K,
): DerivedDefault<NonNullable<TaskDefaults[K]>, TaskDefaults> {
  const names = new Map<unknown, string[]>();
  for (const name of TASK_NAMES) {
    const { [key]: value }: TaskDefaults = tasks[name].defaults;
    if (value !== undefined) names.set(value, [...(names.get(value) ?? []), name]);
  }
  const text = [...names].map(([value, of]) => `${String(value)} for ${listOf(of)}`).join(', ');
  return { text, of: (defaults) => defaults[key]! };
}

function listOf(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)!}`;
}
