/**
 * From the points of a grid to its runs. A point is split into what differs: each baseline, which knows nothing of adapter and training,
 * is a run of its own, and so is the tuning. The same run reached from several points is one.
 */

import { methodName } from '../../tasks/index.js';
import type { GridPoint } from './grid.js';
import { canonicalJson, resultHash } from './hash.js';
import type { ResolvedConfig } from './resolve.js';

export interface PointRun extends GridPoint {
  readonly config: ResolvedConfig;
}

/** @param resolve a configuration of one value a field, checked before */
export function runsOfPoints(
  points: readonly PointRun[],
  resolve: (value: unknown) => ResolvedConfig,
): PointRun[] {
  const runs = new Map<string, PointRun>();
  for (const { value, at, config } of points) {
    for (const part of partsOf(config)) {
      const own = withTask(value, config.tasks[0]!.name, part);
      const resolved = resolve(own);
      const key = keyOf(resolved);
      const before = runs.get(key);
      runs.set(key, {
        ...(before ?? { value: own, config: resolved }),
        at: before ? common(before.at, at) : at,
      });
    }
  }
  return [...runs.values()];
}

type Part = Readonly<Record<string, unknown>>;

function partsOf({ tasks }: ResolvedConfig): Part[] {
  const { baselines, tune } = tasks[0]!;
  return [
    ...baselines.map((method) => ({ baselines: [method], training: false })),
    ...(tune ? [{ baselines: [] }] : []),
  ];
}

function withTask(value: unknown, name: string, part: Part): unknown {
  const { tasks, ...rest } = value as { tasks: Record<string, object> };
  return { ...rest, tasks: { [name]: { ...tasks[name], ...part } } };
}

/** What determines the run as far as it can be told without reading anything. */
function keyOf(config: ResolvedConfig): string {
  const { model_name_or_path, revision, device, tasks } = config;
  const sources = tasks.flatMap((task) =>
    (['train', 'test'] as const).map((split) => [
      `${task.name}.${split}`,
      canonicalJson(task[split]?.from ?? null),
    ]),
  );
  return resultHash(config, {
    model: canonicalJson([model_name_or_path, revision]),
    data: Object.fromEntries(sources) as Record<string, string>,
    adapters: Object.fromEntries(
      tasks.flatMap(({ name, adapter }) => (adapter === undefined ? [] : [[name, adapter]])),
    ),
    backend: device,
    batchInvariant: false,
  });
}

function common(a: GridPoint['at'], b: GridPoint['at']): GridPoint['at'] {
  return Object.fromEntries(
    Object.entries(a).filter(([axis, value]) => canonicalJson(b[axis]) === canonicalJson(value)),
  );
}

/** A run of a study for a person: 'topics, r 8, lora_dropout 0.1, zero-shot'. Keys are as long as it takes to tell them apart. */
export function labelOf({ at, config }: Pick<PointRun, 'at' | 'config'>, axes: readonly string[]): string {
  const task = config.tasks[0]!;
  const values = Object.entries(at).map(([axis, value]) => `${shortName(axis, axes)} ${shown(value)}`);
  const method = task.tune ? [] : task.baselines.map((name) => methodName(name));
  return [task.name, ...values, ...method].join(', ');
}

/** The ending of an axis's path that no other axis has. */
export function shortName(axis: string, axes: readonly string[]): string {
  const keys = axis.split('.');
  for (let n = 1; n < keys.length; n++) {
    const ending = keys.slice(-n).join('.');
    if (axes.every((other) => other === axis || !`.${other}`.endsWith(`.${ending}`))) return ending;
  }
  return axis;
}

/** A value of an axis in a label or a table. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join('+');
  return typeof value === 'string' ? value : canonicalJson(value);
}
