/** Reading a configuration: text, shape, sense, files; every problem with its line, all of them at once. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { readFault } from '../../files/index.js';
import { UserError } from '../../util/errors.js';
import { parseConfigDocument, type ConfigDocument } from './document.js';
import { problemsOf, type Path, type Problem } from './problems.js';
import { isCheckFile } from '../checks/measures.js';
import {
  resolveConfig,
  type ResolvedCheck,
  type ResolvedConfig,
  type ResolvedSource,
  type ResolvedTask,
} from './resolve.js';
import { configSchema } from './schema.js';

export interface LoadedConfig {
  readonly config: ResolvedConfig;
  /** As it stood in the file: a run keeps a copy. */
  readonly source: { readonly path: string; readonly text: string };
}

/**
 * Reads and checks a configuration file. Paths in it are relative to its own folder where they exist there, else to the working folder.
 * Throws UserError with a line for each problem.
 */
export function loadConfig(path: string): LoadedConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw readFault(path, error);
  }
  const { config, document } = parse(text, path);
  return { config: locateFiles(config, dirname(path), document, path), source: { path, text } };
}

/** Checks a configuration's text without looking at any file; its paths stay as written. `name` stands in messages. */
export function parseConfig(text: string, name = 'configuration'): ResolvedConfig {
  return parse(text, name).config;
}

function parse(text: string, name: string): { config: ResolvedConfig; document: ConfigDocument } {
  const document = parseConfigDocument(text, name);
  const checked = configSchema.safeParse(document.value);
  if (!checked.success) throw report(problemsOf(checked.error.issues, document.value), document, name);
  const { config, problems } = resolveConfig(checked.data);
  if (problems.length > 0) throw report(problems, document, name);
  return { config, document };
}

function locateFiles(
  config: ResolvedConfig,
  folder: string,
  document: ConfigDocument,
  name: string,
): ResolvedConfig {
  const problems: Problem[] = [];
  const locate = (path: string): string => {
    const beside = isAbsolute(path) ? path : join(folder, path);
    return existsSync(beside) ? beside : path;
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
  if (problems.length > 0) throw report(problems, document, name);
  // What is no folder here may be a model's name on the hub.
  return { ...config, model_name_or_path: locate(config.model_name_or_path), tasks };
}

function report(problems: readonly Problem[], document: ConfigDocument, name: string): UserError {
  const placed = problems.map(({ path, message }) => {
    const line = document.lineOf(path);
    return { line, text: `${name}:${line}: ${pathText(path)} ${message}` };
  });
  placed.sort((a, b) => a.line - b.line);
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
