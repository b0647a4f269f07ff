/** From what zod and the checks found wrong to the user's lines: file, line, key, what is allowed, and the nearest right name. */

import type { z } from 'zod';
import { nearest } from '../../util/nearest.js';
import { KEY_SEPARATOR } from '../../util/settings.js';
import { SETTING_SECTIONS } from './settings/sections.js';

export type Path = readonly PropertyKey[];

/** Something wrong with the value at `path`; `message` follows its name, as in "training.max_steps must be 1 or more". */
export interface Problem {
  readonly path: Path;
  readonly message: string;
}

/** What people know from the Python libraries and will try, and what to do instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  modules_to_save: 'is not supported: put the layers into target_modules instead',
  rank_pattern: 'is not supported in a configuration: all modules share r',
  alpha_pattern: 'is not supported in a configuration: all modules share lora_alpha',
  task_type: 'is not needed: every model here is a causal language model',
  load_in_8bit: 'is not supported: use load_in_4bit',
  bnb_4bit_compute_dtype: 'is not needed: training.bf16 chooses the type of matrix products',
  bnb_4bit_quant_storage: 'is not needed: weights are stored as bytes',
  fp16: 'is not supported: use bf16',
  per_device_eval_batch_size: 'is not needed: generation.batch_size says how many rows are answered at once',
  max_seq_length: 'is named max_length',
  num_beams: 'is not supported: answers are greedy or drawn',
  dtype: 'is named torch_dtype',
  epochs: 'is named num_train_epochs',
  lr: 'is named learning_rate',
};

const KINDS: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys to values',
  record: 'a mapping of keys to values',
};

/** The problems of zod's issues about `value`. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], value: unknown): Problem[] {
  return issues.flatMap((issue) => problemsOfIssue(issue, value));
}

function problemsOfIssue(issue: z.core.$ZodIssue, value: unknown): Problem[] {
  const { path } = issue;
  const found = valueAt(value, path);
  const one = (message: string): Problem[] => [{ path, message }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key], issue.message.split(KEY_SEPARATOR)));
    case 'invalid_type':
      return one(found === undefined ? 'is missing' : mustBe(KINDS[issue.expected] ?? issue.expected, found));
    case 'invalid_value':
      return one(notAmong(issue.values.map(String), found));
    case 'invalid_union':
      return issue.errors.length === 0
        ? one(notAmong(optionsOf(issue), found))
        : unionProblems(issue, value, found);
    case 'invalid_key':
      return one('is no name for a task: use letters, digits, _ and -, 64 at most');
    case 'too_small':
      if (issue.origin === 'string') return one('is empty');
      if (issue.origin === 'array')
        return one(`needs ${issue.minimum === 1 ? 'an entry' : `${issue.minimum} entries`} at least`);
      return one(mustBe(issue.inclusive ? `${issue.minimum} or more` : `more than ${issue.minimum}`, found));
    case 'too_big':
      return one(mustBe(issue.inclusive ? `${issue.maximum} or less` : `less than ${issue.maximum}`, found));
    default:
      return one(issue.message);
  }
}

/** Of a value that fits none of several shapes: the problems of the shape it was meant to have. */
function unionProblems(issue: z.core.$ZodIssueInvalidUnion, value: unknown, found: unknown): Problem[] {
  const atRoot = (e: z.core.$ZodIssue): boolean =>
    e.path.length === 0 && (e.code === 'invalid_type' || e.code === 'invalid_value');
  const meant = issue.errors.find((errors) => !errors.some(atRoot));
  if (meant !== undefined) {
    return problemsOf(
      meant.map((e) => ({ ...e, path: [...issue.path, ...e.path] })),
      value,
    );
  }
  const allowed = issue.errors.flat().flatMap((e) => {
    if (e.code === 'invalid_type') return [KINDS[e.expected] ?? e.expected];
    return e.code === 'invalid_value' ? e.values.map(String) : [];
  });
  return [{ path: issue.path, message: mustBe([...new Set(allowed)].join(' or '), found) }];
}

function optionsOf(issue: z.core.$ZodIssueInvalidUnion): string[] {
  return 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
}

/** `path` ends in a key that is none of `allowed`. */
export function unknownKey(path: Path, allowed: readonly string[]): Problem {
  const key = String(path.at(-1));
  const here = path.slice(0, -1).map(String);
  if (Object.hasOwn(ELSEWHERE, key)) return { path, message: ELSEWHERE[key]! };
  const home = Object.keys(SETTING_SECTIONS).find((name) => SETTING_SECTIONS[name]!.includes(key));
  if (home !== undefined && here.at(-1) !== home) {
    return { path, message: `is not a setting here; it belongs under '${home}'` };
  }
  const near = meant(key, allowed);
  const hint = near === undefined ? `the settings here are ${allowed.join(', ')}` : `did you mean ${near}?`;
  return { path, message: `is not a setting; ${hint}` };
}

function notAmong(allowed: readonly string[], found: unknown): string {
  if (found === undefined) return `is missing; it is one of ${allowed.join(', ')}`;
  const near = typeof found === 'string' ? meant(found, allowed) : undefined;
  const list = allowed.length === 1 ? allowed[0]! : `one of ${allowed.join(', ')}`;
  return mustBe(list, found) + (near !== undefined && allowed.length > 1 ? `; did you mean ${near}?` : '');
}

function mustBe(what: string, found: unknown): string {
  return `must be ${what}; it is ${shown(found)}`;
}

/** The allowed name that `name` is likely to be a slip or the beginning of. */
function meant(name: string, allowed: readonly string[]): string | undefined {
  const letters = name.toLowerCase().replaceAll(/[-_]/g, '');
  const longer = allowed.filter((a) => letters.length > 3 && a.replaceAll('_', '').startsWith(letters));
  return longer.length === 1 ? longer[0] : nearest(name, allowed);
}

function shown(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return 'a mapping';
  return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, key)
        ? (at as Record<PropertyKey, unknown>)[key]
        : undefined,
    value,
  );
}
