/**
 * Reading a configuration: text, grid, shape, sense, files; every problem with its line, all of them at once. A configuration whose
 * fields hold lists is a study of many runs; one without is a study of one.
 */

import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { stringify } from 'yaml';
import { definitionOf } from '../../tasks/index.js';
import { messageOf, UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import { readAdapterConfig } from '../../adapters/peft.js';
import type { Axis } from './axes.js';
import { expandGrid, isMapping, type GridPoint } from './grid.js';
import { readLayers, type Layers } from './layers.js';
import { problemsOf, type Path, type Problem } from './problems.js';
import { inheritedNote, resolveConfig, type ResolvedConfig } from './resolve.js';
import { configSchema, type ConfigFile } from './schema.js';
import { isCheckFile, type ResolvedCheck } from './settings/answers.js';
import { isSameSource } from './same-source.js';
import { isOwn, type ResolvedSource } from './settings/rows.js';
import type { ResolvedTask } from './settings/task.js';
import { runsOfPoints, type PointRun } from './study.js';
import { adapterFolder } from './trained-adapter.js';
import { SECTION_SPLITS, type SectionSplit } from './splits.js';

/** A configuration that was read and checked, with the text that it was read from. */
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

/** A configuration that stands in no file: what a file would hold, as values, and where its relative paths begin besides the working folder. */
export interface ConfigInMemory {
  readonly config: unknown;
  readonly folder?: string | undefined;
}

/**
 * Reads and checks a configuration, of a file or in memory, with all points of its grid. Paths in it are relative to its own folder where they exist there,
 * else to the working folder. Throws UserError with a line for each problem.
 */
export function loadStudy(from: string | ConfigInMemory, { settings = [] }: LoadOptions = {}): Study {
  const inFile = typeof from === 'string';
  const path = inFile ? from : 'configuration.json';
  const text = inFile ? readText(from) : jsonOf(from.config);
  const layers = readLayers(text, inFile ? path : 'the configuration', {
    folder: inFile ? dirname(path) : (from.folder ?? '.'),
    lined: inFile,
    settings,
  });
  const { axes, runs } = parse(layers);
  const plain = axes.length === 0 && layers.folders.length === 1 && settings.length === 0;
  return {
    axes,
    runs: runs.map(({ config, value, at }) => ({
      config: locateFiles(config, layers, value),
      source: { path, text: plain ? text : path.endsWith('.json') ? jsonOf(value) : stringify(value) },
      at,
    })),
  };
}

function jsonOf(value: unknown): string {
  // Of what JSON has no word for there is nothing.
  let text: unknown;
  try {
    text = JSON.stringify(value, null, 2);
  } catch (error) {
    throw new UserError(`the configuration is not made of plain values: ${messageOf(error).split('\n')[0]!}`);
  }
  return `${typeof text === 'string' ? text : 'null'}\n`;
}

/** The same of a configuration that is one run. Throws UserError where it is a study of several. */
export function loadConfig(from: string | ConfigInMemory, options: LoadOptions = {}): LoadedConfig {
  const { axes, runs } = loadStudy(from, options);
  if (axes.length > 0) {
    const lists = axes.map((axis) => axis.path.join('.')).join(', ');
    throw new UserError(
      `${typeof from === 'string' ? from : 'the configuration'} is a study of ${runs.length} runs (${lists}), and this works on one: choose with --set field=value`,
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

/** What is looked at before a grid's lists are taken apart. */
const gridSchema = configSchema.pick({ grid: true, search: true }).strip();

function parse(layers: Layers): { axes: readonly Axis[]; runs: PointRun[] } {
  const rules = isMapping(layers.value) ? gridSchema.safeParse(layers.value) : undefined;
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

/** `value`: what the file has at this point of its grid, for what stands in it and what does not. */
function locateFiles(config: ResolvedConfig, layers: Layers, value: unknown): ResolvedConfig {
  const problems: Problem[] = [];
  const locate = (path: string): string => {
    const beside = isAbsolute(path) ? [] : layers.folders.map((folder) => join(folder, path));
    return beside.find((place) => existsSync(place)) ?? path;
  };
  const find = (path: string, at: Path): string => {
    const found = locate(path);
    if (!existsSync(found)) problems.push({ path: at, message: missing(path) });
    return found;
  };
  const locateFrom = <F extends ResolvedSource['from']>(from: F, path: Path): F => {
    if ('mixture' in from) {
      const mixture = from.mixture.map((one, i) => ({
        ...one,
        from: locateFrom(one.from, [...path, 'mixture', i]),
      }));
      return { ...from, mixture };
    }
    return 'path' in from ? { ...from, path: find(from.path, [...path, 'path']) } : from;
  };
  const locateCheck = (check: ResolvedCheck, path: Path): ResolvedCheck =>
    isCheckFile(check.check) ? { ...check, check: find(check.check, [...path, 'check']) } : check;
  const file = value as ConfigFile;
  const tasks = config.tasks.map((task): ResolvedTask => {
    const inheritedFrom = inheritance(layers, task.name);
    return {
      ...task,
      ...(inheritedFrom !== undefined && { inheritedFrom }),
      ...locateAdapter(task, file, locate, problems),
      settings: withFiles(task.settings, (path, key) => {
        const found = find(path, ['tasks', task.name, key]);
        return existsSync(found) ? readText(found) : path;
      }),
      checks: task.checks.map((check, i) => locateCheck(check, ['tasks', task.name, 'checks', i])),
      ...Object.fromEntries(
        ownSources(task).map(([split, source]) => [
          split,
          { ...source, from: locateFrom(source.from, ['tasks', task.name, split]) },
        ]),
      ),
    };
  });
  problems.push(...tasks.flatMap(testedProblems));
  if (problems.length > 0) throw report(problems, layers);
  // What is no folder here may be a model's name on the hub.
  return { ...config, model_name_or_path: locate(config.model_name_or_path), tasks };
}

/** The adapter that a task starts from, and what is taken from there; what does not fit it goes to `problems`. */
function locateAdapter(
  task: ResolvedTask,
  file: ConfigFile,
  locate: (path: string) => string,
  problems: Problem[],
): Pick<ResolvedTask, 'adapter' | 'lora'> | undefined {
  if (task.adapter === undefined || task.lora === false || !task.tune) return undefined;
  const own = file.tasks[task.name]!;
  const folder = adapterFolder(locate(task.adapter), task.name);
  if (folder === undefined) {
    const message = `is ${task.adapter}, which holds no adapter: name a folder with an adapter_config.json, or a run's that has trained one`;
    problems.push({
      path: own.adapter === undefined ? ['adapter'] : ['tasks', task.name, 'adapter'],
      message,
    });
    return undefined;
  }
  const there = readAdapterConfig(folder);
  const given = { ...(file.lora || {}), ...(own.lora || {}) };
  for (const key of ['r', 'lora_alpha', 'use_rslora'] as const) {
    if (given[key] === undefined || given[key] === there[key]) continue;
    const message = `is ${given[key]}, but the adapter in ${folder} has ${there[key]}: leave it out, and it is taken from there`;
    const owns = own.lora !== undefined && own.lora !== false && own.lora[key] !== undefined;
    problems.push({ path: owns ? ['tasks', task.name, 'lora', key] : ['lora', key], message });
  }
  const { kind, r, lora_alpha, use_rslora, target_modules, rank_pattern, alpha_pattern } = there;
  const lora = {
    ...(kind && { kind }),
    ...{ r, lora_alpha, use_rslora, rank_pattern, alpha_pattern },
    lora_dropout: given.lora_dropout ?? there.lora_dropout,
    target_modules: given.target_modules ?? target_modules,
  };
  return { adapter: folder, lora };
}

function missing(path: string): string {
  return `is ${path}, which is neither in this file's folder nor in the working folder`;
}

/** The sources that are not parts of another's rows. */
function ownSources(task: ResolvedTask): (readonly [SectionSplit, ResolvedSource])[] {
  return SECTION_SPLITS.flatMap((split) => {
    const source = task[split];
    return source && isOwn(split, source) ? [[split, source] as const] : [];
  });
}

/** Validation rows that are of the test rows' own file. */
function testedProblems({ name, validation, test }: ResolvedTask): Problem[] {
  if (!validation || !test || !isOwn('validation', validation) || !isSameSource(validation, test)) return [];
  const message =
    'is where the test rows are from, which nothing may be chosen by: name other rows, or write split: {validation: 0.1}, which takes them from train';
  return [{ path: ['tasks', name, 'validation', 'path' in validation.from ? 'path' : 'hub'], message }];
}

/** Settings with the texts of the files that they name. */
function withFiles(
  settings: ResolvedTask['settings'],
  read: (path: string, key: string) => string,
): ResolvedTask['settings'] {
  return definitionOf(settings).withFiles?.(settings, read) ?? settings;
}

/** The file that has a task which the configuration's own file does not name. */
function inheritance(layers: Layers, task: string): string | undefined {
  const { file, own } = layers.placeOf(['tasks', task]);
  return own ? undefined : file;
}

function report(problems: readonly Problem[], layers: Layers): UserError {
  const placed = problems.map(({ path, message }) => {
    const { place, layer, line } = layers.placeOf(path);
    const task = path[0] === 'tasks' && path.length > 1 ? String(path[1]) : undefined;
    const from = task === undefined ? undefined : inheritance(layers, task);
    const note = from === undefined ? '' : ` (${inheritedNote(task!, from)})`;
    return { layer, line, text: `${place}: ${pathText(path)} ${message}${note}` };
  });
  placed.sort((a, b) => a.layer - b.layer || a.line - b.line);
  return new UserError([...new Set(placed.map(({ text }) => text))]);
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
