/**
 * From a configuration with lists to the points of its grid. A list in a field is an axis; each point takes one value of every axis.
 * Axes go each with each, or in step where `grid.zip` says so; points that `grid.exclude` names are left out. A task's points differ in
 * its own axes and the top level's: those of other tasks are nothing to it. With `search` points are drawn, from ranges, too (trials.ts).
 */

import type { Path, Problem } from './problems.js';
import { canonicalJson } from './hash.js';
import { LIST_FIELDS, RANGE_FIELDS, UNLISTED, type Axis } from './axes.js';
import { isRange, MOST_POINTS, rangeFault, type Range } from './settings/search.js';
import { drawTrials, product, sizeOf, type Choice, type Dimension } from './trials.js';

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

type Mapping = Readonly<Record<string, unknown>>;

/** `value`: a configuration as it was read, of any shape; what is no grid in it is left for the schema to judge. */
export function expandGrid(value: unknown): Grid {
  if (!isMapping(value)) return { axes: [], points: [{ value, at: {} }], problems: [] };
  const { grid, search, ...rest } = value;
  const axes = findAxes(rest, []);
  const { zip, exclude, problems } = readGrid(grid, axes);
  problems.push(...axisProblems(axes, search));
  if (axes.length === 0 && grid === undefined && !isMapping(search))
    return { axes, points: [{ value: rest, at: {} }], problems };
  // A run's own copy says which trial it is.
  if (axes.length === 0 && isMapping(search) && search['trial'] !== undefined)
    return { axes, points: [{ value: { ...rest, search }, at: {} }], problems };
  if (problems.length > 0) return { axes, points: [], problems };
  const points: GridPoint[] = [];
  const { tasks } = rest;
  const names = isMapping(tasks) ? Object.keys(tasks) : [undefined];
  for (const name of names) {
    const mine = axes.filter((axis) => axis.path[0] !== 'tasks' || axis.path[1] === name);
    const found = pointsOf(mine, { zip, exclude }, search);
    if (typeof found === 'string')
      return { axes, points: [], problems: [{ path: ['search'], message: found }] };
    if (found === undefined || points.length + found.length > MOST_POINTS) {
      const message = `makes more than ${MOST_POINTS} points: leave out an axis, or zip axes`;
      return { axes, points: [], problems: [{ path: axes[0]!.path, message }] };
    }
    const task = name === undefined ? {} : { tasks: { [name]: (tasks as Mapping)[name] } };
    for (const { chosen, trial } of found) {
      const one = {
        ...rest,
        ...task,
        ...(trial !== undefined && { search: { ...(search as Mapping), trial } }),
      };
      const point = chosen.reduce<unknown>((v, { axis, value }) => replaceAt(v, axis.path, value), one);
      points.push({ value: point, at: placeOf(chosen) });
    }
  }
  if (points.length === 0)
    problems.push({ path: ['grid', 'exclude'], message: 'leaves out every point of the grid' });
  return { axes, points, problems };
}

interface FoundPoint {
  readonly chosen: readonly Choice[];
  /** Of a search. */
  readonly trial?: number;
}

/** All points of a task's axes, or those that a search draws. @returns undefined where they are too many, why a search finds none */
function pointsOf(
  axes: readonly Axis[],
  { zip, exclude }: Pick<Rules, 'zip' | 'exclude'>,
  search: unknown,
): FoundPoint[] | string | undefined {
  const allowed = (chosen: readonly Choice[]): boolean =>
    !exclude.some((condition) => holds(condition, placeOf(chosen)));
  const lists = inStep(
    axes.filter(({ range }) => !range),
    zip,
  );
  if (!isMapping(search))
    return sizeOf(lists) > MOST_POINTS
      ? undefined
      : product(lists)
          .filter(allowed)
          .map((chosen) => ({ chosen }));
  // Each trial runs with all seeds: what is drawn are settings.
  const isSeeds = (dimension: Dimension): boolean =>
    dimension[0]!.every(({ axis }) => axis.path.join() === 'seed');
  const ranges = axes.filter((axis) => axis.range) as (Axis & { readonly range: Range })[];
  const drawn = drawTrials(
    search as unknown as Parameters<typeof drawTrials>[0],
    lists.filter((dimension) => !isSeeds(dimension)),
    ranges,
    allowed,
  );
  if (typeof drawn === 'string') return drawn;
  const seeds = product(lists.filter(isSeeds));
  return drawn.flatMap(({ trial, chosen }) => seeds.map((seed) => ({ trial, chosen: [...chosen, ...seed] })));
}

function placeOf(chosen: readonly Choice[]): GridPoint['at'] {
  return Object.fromEntries(chosen.map(({ axis, value }) => [axis.path.join('.'), value]));
}

/** What is wrong with lists and ranges. */
function axisProblems(axes: readonly Axis[], search: unknown): Problem[] {
  const problems: Problem[] = [];
  const add = (path: Path, message: string): unknown => problems.push({ path, message });
  for (const { path, values, range } of axes) {
    const mayBe = RANGE_FIELDS.has(path.at(-1)!);
    const fault = range && (mayBe ? rangeFault(range) : 'takes no range: a search draws numbers from such');
    if (fault !== undefined) add(path, fault);
    else if (range && search === undefined)
      add(
        path,
        `is a range, from which a search draws: add search: {method: random, trials: 20}, or write a list`,
      );
    else if (!range && values.length === 0) add(path, 'is an empty list: it needs a value at least');
    else if (isMapping(search) && search['method'] === 'asha' && isInCommon(path))
      add(path, 'must be one value with search: asha measures trials against each other by it');
  }
  if (isMapping(search) && search['trial'] === undefined && axes.length === 0)
    add(
      ['search'],
      'has nothing to draw from: write a list, or a range such as {low: 1e-5, high: 1e-3, log: true}',
    );
  return problems;
}

/** What trials that are measured against each other share: the base model, and the rows that they are measured on. */
function isInCommon([first, , third]: readonly string[]): boolean {
  const fields = ['model_name_or_path', 'revision', 'device', 'quantization', 'torch_dtype'];
  return fields.includes(first!) || third === 'validation' || third === 'split';
}

function findAxes(value: unknown, path: readonly string[]): Axis[] {
  if (Array.isArray(value)) {
    const field = path.at(-1)!;
    const values: readonly unknown[] = value;
    return !LIST_FIELDS.has(field) || values.some(Array.isArray) ? [{ path, values }] : [];
  }
  if (!isMapping(value)) return [];
  if (isRange(value)) return [{ path, values: [], range: value as unknown as Range }];
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

/** For each axis, or axes that go in step, the choices of its points; in the order of the file. */
function inStep(axes: readonly Axis[], zip: Rules['zip']): Dimension[] {
  const groupOf = (axis: Axis): readonly string[] =>
    zip.find((group) => group.includes(axis.path.join('.'))) ?? [axis.path.join('.')];
  const groups = [...new Set(axes.map(groupOf).map((group) => group.join('\n')))];
  return groups.map((group) => {
    const members = axes.filter((axis) => group.split('\n').includes(axis.path.join('.')));
    return members[0]!.values.map((_, i) => members.map((axis) => ({ axis, value: axis.values[i] })));
  });
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
