/**
 * From the points of a grid to its runs. A point is split into what differs: each baseline, which knows nothing of adapter and training,
 * is a run of its own, and so is the tuning. The same run reached from several points is one.
 */

import { createHash } from 'node:crypto';
import { methodName } from '../../tasks/index.js';
import type { GridPoint } from './grid.js';
import { canonicalJson, resultHash, type Fingerprints } from './hash.js';
import type { ResolvedConfig } from './resolve.js';
import { SECTION_SPLITS } from './splits.js';

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
  return chained([...runs.values()]);
}

/** Trials that may be stopped for the sake of those before them know which these are: their results follow from it, and their ids with them. */
function chained(runs: readonly PointRun[]): PointRun[] {
  const chains = new Map<string, string>();
  return runs.map((run) => {
    const { search } = run.config;
    if (!search?.halving || !isTrial(run.config)) return run;
    const chain = chainOf(run.config);
    const before = chains.get(chain);
    // Contents of data are in the run's own id.
    const own = resultHash(
      run.config,
      printsOf(run.config, () => ''),
    );
    const link = canonicalJson([before ?? '', run.at, own]);
    chains.set(chain, createHash('sha256').update(link).digest('hex').slice(0, 12));
    if (before === undefined) return run;
    const value = run.value as { readonly search: object };
    return {
      at: run.at,
      value: { ...value, search: { ...value.search, before } },
      config: { ...run.config, search: { ...search, halving: { ...search.halving, before } } },
    };
  });
}

/** Whether a run is what a search draws: of baselines there is nothing to be drawn. */
function isTrial({ search, tasks }: ResolvedConfig): boolean {
  return search !== undefined && tasks.some(({ tune }) => tune);
}

/** Trials of one task and one seed are measured against each other. */
function chainOf({ tasks, seed }: ResolvedConfig): string {
  return canonicalJson([tasks[0]!.name, seed]);
}

/** The trials of a run's search that come before it, of those of its study. */
export function trialsBefore<R extends { readonly config: ResolvedConfig }>(
  { search, ...config }: ResolvedConfig,
  study: readonly R[],
): R[] {
  if (!search) return [];
  return study
    .filter(({ config: other }) => isTrial(other) && chainOf(other) === chainOf(config))
    .filter(({ config: other }) => other.search!.trial < search.trial);
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
  return resultHash(config, printsOf(config, canonicalJson));
}

/** In the places of contents, what they are called. */
function printsOf(
  { model_name_or_path, revision, device, tasks }: ResolvedConfig,
  nameOf: (what: unknown) => string,
): Fingerprints {
  const sources = tasks.flatMap((task) =>
    SECTION_SPLITS.map((split) => [`${task.name}.${split}`, nameOf(task[split]?.from ?? null)]),
  );
  return {
    model: nameOf([model_name_or_path, revision]),
    data: Object.fromEntries(sources) as Record<string, string>,
    adapters: Object.fromEntries(
      tasks.flatMap(({ name, adapter }) => (adapter === undefined ? [] : [[name, nameOf(adapter)]])),
    ),
    backend: nameOf(device),
    batchInvariant: false,
  };
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
