/**
 * Reading a configuration: text, grid, shape, sense, files; every problem with its line, all of them at once. A configuration whose
 * fields hold lists is a study of many runs; one without is a study of one.
 */

import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { stringify } from 'yaml';
import { UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import { isCheckFile } from '../checks/measures.js';
import { expandGrid, isMapping, type Axis, type GridPoint } from './grid.js';
import { readLayers, type Layers } from './layers.js';
import { problemsOf, type Path, type Problem } from './problems.js';
import {
  resolveConfig,
  type ResolvedCheck,
  type ResolvedConfig,
  type ResolvedSource,
  type ResolvedTask,
} from './resolve.js';
import { configSchema } from './schema.js';
import { runsOfPoints, type PointRun } from './study.js';

export interface LoadedConfig {
  readonly config: ResolvedConfig;
  /** The configuration's file, and a text that gives this very run, of which its folder keeps a copy. */
  readonly source: { readonly path: string; readonly text: string };
}

/** A run of a study: one task's baseline or tuning at one point of the grid. */
export interface StudyRun extends LoadedConfig {
  /** Its value on each axis that makes a difference to it, by the axis's dotted path. */
  readonly at: GridPoint['at'];
}

export interface Study {
  /** Empty: the configuration is one run, with however many tasks. */
  readonly axes: readonly Axis[];
  readonly runs: readonly StudyRun[];
}

export interface LoadOptions {
  /** 'field=value' each: come before what the file has. */
  readonly settings?: readonly string[];
}

/**
 * Reads and checks a configuration file with all points of its grid. Paths in it are relative to its own folder where they exist there,
 * else to the working folder. Throws UserError with a line for each problem.
 */
export function loadStudy(path: string, { settings = [] }: LoadOptions = {}): Study {
  const text = readText(path);
  const layers = readLayers(text, path, { folder: dirname(path), settings });
  const { axes, runs } = parse(layers);
  const plain = axes.length === 0 && layers.folders.length === 1 && settings.length === 0;
  return {
    axes,
    runs: runs.map(({ config, value, at }) => ({
      config: locateFiles(config, layers),
      source: { path, text: plain ? text : stringify(value) },
      at,
    })),
  };
}

/** The same of a configuration that is one run. Throws UserError where it is a study of several. */
export function loadConfig(path: string, options: LoadOptions = {}): LoadedConfig {
  const { axes, runs } = loadStudy(path, options);
  if (axes.length > 0) {
    const lists = axes.map((axis) => axis.path.join('.')).join(', ');
    throw new UserError(
      `${path} is a study of ${runs.length} runs (${lists}), and this works on one: choose with --set field=value`,
    );
  }
  return runs[0]!;
}

/** Checks the text of a configuration of one run without looking at any file; its paths stay as written. `name` stands in messages. */
export function parseConfig(text: string, name = 'configuration'): ResolvedConfig {
  return parseStudy(text, name)[0]!.config;
}

/** The same of a study: the configurations of its runs. */
export function parseStudy(
  text: string,
  name = 'configuration',
): { readonly config: ResolvedConfig; readonly at: GridPoint['at'] }[] {
  return parse(readLayers(text, name)).runs;
}

function parse(layers: Layers): { axes: readonly Axis[]; runs: PointRun[] } {
  const rules = isMapping(layers.value)
    ? configSchema.pick({ grid: true }).strip().safeParse(layers.value)
    : undefined;
  if (rules?.success === false) throw report(problemsOf(rules.error.issues, layers.value), layers);
  const grid = expandGrid(layers.value);
  if (grid.problems.length > 0) throw report(grid.problems, layers);
  const faults: Problem[] = [];
  const points = grid.points.flatMap(({ value, at }): PointRun[] => {
    const checked = configSchema.safeParse(value);
    if (!checked.success) {
      faults.push(...problemsOf(checked.error.issues, value));
      return [];
    }
    const { config, problems } = resolveConfig(checked.data);
    faults.push(...problems);
    return [{ value, at, config }];
  });
  if (faults.length > 0) throw report(faults, layers);
  const { axes } = grid;
  const resolve = (value: unknown): ResolvedConfig => resolveConfig(configSchema.parse(value)).config;
  return { axes, runs: axes.length === 0 ? points : runsOfPoints(points, resolve) };
}

function locateFiles(config: ResolvedConfig, layers: Layers): ResolvedConfig {
  const problems: Problem[] = [];
  const locate = (path: string): string => {
    const beside = isAbsolute(path) ? [] : layers.folders.map((folder) => join(folder, path));
    return beside.find((place) => existsSync(place)) ?? path;
  };
  const missing = (path: string): string =>
    `is ${path}, which is neither in this file's folder nor in the working folder`;
  const locateSource = (source: ResolvedSource, path: Path): ResolvedSource => {
    if (!('path' in source.from)) return source;
    const found = locate(source.from.path);
    if (!existsSync(found)) {
      problems.push({ path: [...path, 'path'], message: missing(source.from.path) });
    }
    return { ...source, from: { ...source.from, path: found } };
  };
  const locateCheck = (check: ResolvedCheck, path: Path): ResolvedCheck => {
    if (!isCheckFile(check.check)) return check;
    const found = locate(check.check);
    if (!existsSync(found)) problems.push({ path: [...path, 'check'], message: missing(check.check) });
    return { ...check, check: found };
  };
  const tasks = config.tasks.map((task): ResolvedTask => {
    const { train, test } = task;
    return {
      ...task,
      checks: task.checks.map((check, i) => locateCheck(check, ['tasks', task.name, 'checks', i])),
      ...(train && { train: locateSource(train, ['tasks', task.name, 'train']) }),
      ...(test && { test: locateSource(test, ['tasks', task.name, 'test']) }),
    };
  });
  if (problems.length > 0) throw report(problems, layers);
  // What is no folder here may be a model's name on the hub.
  return { ...config, model_name_or_path: locate(config.model_name_or_path), tasks };
}

function report(problems: readonly Problem[], layers: Layers): UserError {
  const placed = problems.map(({ path, message }) => {
    const { place, layer, line } = layers.placeOf(path);
    return { layer, line, text: `${place}: ${pathText(path)} ${message}` };
  });
  placed.sort((a, b) => a.layer - b.layer || a.line - b.line);
  return new UserError([...new Set(placed.map(({ text }) => text))].join('\n'));
}

function pathText(path: Path): string {
  if (path.length === 0) return 'the configuration';
  return path
    .map((key) => (typeof key === 'number' ? `[${key + 1}]` : `.${oneLine(String(key))}`))
    .join('')
    .replace(/^\./, '');
}

/** Keys are the user's text: a long one, or one with line breaks, must not spoil the message. */
function oneLine(key: string): string {
  return /^[\w-]{1,60}$/.test(key) ? key : JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key);
}
