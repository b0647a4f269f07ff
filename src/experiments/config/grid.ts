/**
 * From a configuration with lists to the points of its grid. A list in a field is an axis; each point takes one value of every axis.
 * Axes go each with each, or in step where `grid.zip` says so; points that `grid.exclude` names are left out. A task's points differ in
 * its own axes and the top level's: those of other tasks are nothing to it.
 */

import type { Path, Problem } from './problems.js';
import { canonicalJson } from './hash.js';
import { LIST_FIELDS, UNLISTED } from './axes.js';

/** A field that holds a list: where it stands, and what it holds. */
export interface Axis {
  readonly path: readonly string[];
  readonly values: readonly unknown[];
}

/** One setting of all axes that concern a task. */
export interface GridPoint {
  /** The configuration with one value in each field and, where there are axes, with one task. */
  readonly value: unknown;
  /** By the axis's dotted path. */
  readonly at: Readonly<Record<string, unknown>>;
}

export interface Grid {
  readonly axes: readonly Axis[];
  readonly points: readonly GridPoint[];
  readonly problems: readonly Problem[];
}

/** More is a slip, not a study. */
const MOST_POINTS = 10_000;

type Mapping = Readonly<Record<string, unknown>>;

/** `value`: a configuration as it was read, of any shape; what is no grid in it is left for the schema to judge. */
export function expandGrid(value: unknown): Grid {
  if (!isMapping(value)) return { axes: [], points: [{ value, at: {} }], problems: [] };
  const { grid, ...rest } = value;
  const axes = findAxes(rest, []);
  const { zip, exclude, problems } = readGrid(grid, axes);
  for (const { path, values } of axes)
    if (values.length === 0) problems.push({ path, message: 'is an empty list: it needs a value at least' });
  if (axes.length === 0 && grid === undefined) return { axes, points: [{ value: rest, at: {} }], problems };
  if (problems.length > 0) return { axes, points: [], problems };
  const points: GridPoint[] = [];
  const { tasks } = rest;
  const names = isMapping(tasks) ? Object.keys(tasks) : [undefined];
  for (const name of names) {
    const mine = (axis: Axis): boolean => axis.path[0] !== 'tasks' || axis.path[1] === name;
    const dimensions = inStep(axes.filter(mine), zip);
    const count = dimensions.reduce((n, d) => n * d.length, 1);
    if (points.length + count > MOST_POINTS) {
      const message = `makes more than ${MOST_POINTS} points: leave out an axis, or zip axes`;
      return { axes, points: [], problems: [{ path: axes[0]!.path, message }] };
    }
    for (const chosen of product(dimensions)) {
      const at = Object.fromEntries(chosen.map(({ axis, value }) => [axis.path.join('.'), value]));
      if (exclude.some((condition) => holds(condition, at))) continue;
      const one = name === undefined ? rest : { ...rest, tasks: { [name]: (tasks as Mapping)[name] } };
      const point = chosen.reduce<unknown>((v, { axis, value }) => replaceAt(v, axis.path, value), one);
      points.push({ value: point, at });
    }
  }
  if (points.length === 0)
    problems.push({ path: ['grid', 'exclude'], message: 'leaves out every point of the grid' });
  return { axes, points, problems };
}

function findAxes(value: unknown, path: readonly string[]): Axis[] {
  if (Array.isArray(value)) {
    const field = path.at(-1)!;
    const values: readonly unknown[] = value;
    return !LIST_FIELDS.has(field) || values.some(Array.isArray) ? [{ path, values }] : [];
  }
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    UNLISTED.has(key) ? [] : findAxes(part, [...path, key]),
  );
}

interface Rules {
  readonly zip: readonly (readonly string[])[];
  readonly exclude: readonly Mapping[];
  readonly problems: Problem[];
}

/** Reads `grid`, as far as it has the right shape: else the schema says what is wrong with it. */
function readGrid(grid: unknown, axes: readonly Axis[]): Rules {
  const problems: Problem[] = [];
  const there = new Map(axes.map((axis) => [axis.path.join('.'), axis]));
  const known = (name: string, path: Path): boolean => {
    if (there.has(name)) return true;
    const list = [...there.keys()].join(', ');
    const hint = list === '' ? 'no field here holds a list' : `the lists here are ${list}`;
    problems.push({ path, message: `names ${name}, which is no list in this configuration; ${hint}` });
    return false;
  };
  const listOf = (key: string): readonly unknown[] => {
    const list = isMapping(grid) ? grid[key] : undefined;
    return Array.isArray(list) ? list : [];
  };
  const zip = listOf('zip').map((group, i) => {
    const path = ['grid', 'zip', i];
    const names = (Array.isArray(group) ? group : []).map(String).filter((name) => known(name, path));
    const lengths = names.map((name) => there.get(name)!.values.length);
    if (new Set(lengths).size > 1) {
      const counts = names.map((name, j) => `${name} has ${lengths[j]!}`).join(', ');
      problems.push({ path, message: `goes in step only over lists of one length: ${counts}` });
    }
    const tasks = new Set(names.flatMap((name) => (name.startsWith('tasks.') ? [name.split('.')[1]] : [])));
    if (tasks.size > 1)
      problems.push({ path, message: `joins fields of different tasks, which are never one run` });
    return names;
  });
  const all = zip.flat();
  for (const name of new Set(all.filter((n, i) => all.indexOf(n) !== i)))
    problems.push({ path: ['grid', 'zip'], message: `names ${name} twice` });
  const exclude = listOf('exclude').filter(isMapping);
  for (const [i, condition] of exclude.entries())
    for (const name of Object.keys(condition)) known(name, ['grid', 'exclude', i, name]);
  return { zip, exclude, problems };
}

interface Choice {
  readonly axis: Axis;
  readonly value: unknown;
}

/** For each axis, or axes that go in step, the choices of its points; in the order of the file. */
function inStep(axes: readonly Axis[], zip: Rules['zip']): Choice[][][] {
  const groupOf = (axis: Axis): readonly string[] =>
    zip.find((group) => group.includes(axis.path.join('.'))) ?? [axis.path.join('.')];
  const groups = [...new Set(axes.map(groupOf).map((group) => group.join('\n')))];
  return groups.map((group) => {
    const members = axes.filter((axis) => group.split('\n').includes(axis.path.join('.')));
    return members[0]!.values.map((_, i) => members.map((axis) => ({ axis, value: axis.values[i] })));
  });
}

/** Every way to take one of each; the last varies fastest. */
function product(dimensions: readonly Choice[][][]): Choice[][] {
  return dimensions.reduce<Choice[][]>(
    (points, dimension) => points.flatMap((point) => dimension.map((choices) => [...point, ...choices])),
    [[]],
  );
}

/** Whether a point has all values of a condition; for a field that lists several, one of them. */
function holds(condition: Mapping, at: Mapping): boolean {
  return Object.entries(condition).every(([name, wanted]) => {
    if (!Object.hasOwn(at, name)) return false;
    const found = canonicalJson(at[name]);
    const options: readonly unknown[] = Array.isArray(wanted) ? [wanted, ...(wanted as unknown[])] : [wanted];
    return options.some((option) => canonicalJson(option) === found);
  });
}

function replaceAt(value: unknown, path: readonly string[], replacement: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return replacement;
  const mapping = value as Mapping;
  return { ...mapping, [key]: replaceAt(mapping[key], rest, replacement) };
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
