/**
 * The file's shape, with one value for each setting: grid.ts makes such of one with lists. The settings themselves, with their defaults,
 * are in settings/, a file for each part of them.
 */

import { z } from 'zod';
import { section, seed, setting, settingsOf, text, type Values } from '../../util/settings.js';
import { TRACKER_NAMES } from '../trackers/index.js';
import { GENERATION } from './settings/answers.js';
import { SEARCH } from './settings/search.js';
import { orFalse, taskSection } from './settings/task.js';
import { LORA, QUANTIZATION, TRAINING } from './settings/tuning.js';

/** A field by its keys, joined by dots: 'tasks.topics.train.fraction'. */
const axis = text.describe('A field that holds a list, by its keys with dots between them.');

const GRID = {
  zip: setting(
    z.array(z.array(axis).min(2)),
    'Axes that go in step, first with first and so on, in place of each with each: a list of lists of fields.',
  ),
  exclude: setting(
    z.array(z.record(axis, z.unknown())),
    'Points to leave out: those that have all of an entry’s values, or one of those that it lists for a field.',
  ),
};

const MLFLOW = {
  tracking_uri: setting(
    text
      .refine((uri) => /^https?:\/\/[^/]+/.test(uri), { error: 'must be an http or https address' })
      .refine((uri) => !/^[^/]*\/\/[^/]*@/.test(uri), {
        error: 'holds a password: put it into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD',
      }),
    'The server’s http or https address. Default: MLFLOW_TRACKING_URI.',
    { bits: false },
  ),
  experiment_name: setting(text, 'Default: MLFLOW_EXPERIMENT_NAME, or Default.', { bits: false }),
};

/** The top level. A model's name, its revision and a device are not in a run's id: what they come to is. */
export const TOP = {
  extends: setting(
    text,
    'Another configuration, relative to this one’s folder, or a preset’s name: its settings hold where this one has none.',
  ),
  model_name_or_path: text.describe(
    'A model folder in Hugging Face’s layout, a GGUF file, or a model’s name on the hub.',
  ),
  revision: setting(text, 'The hub model’s branch, tag or commit.', { default: 'main', bits: false }),
  adapter: setting(
    text,
    'A finished LoRA adapter to start from, in place of a new one: a folder in PEFT’s format, or a run’s. Its rank, alpha and modules are taken.',
  ),
  device: setting(
    z.enum(['auto', 'cuda', 'cpu', 'reference']),
    'Where to compute. auto: the fastest there is.',
    { default: 'auto' as const, bits: false },
  ),
  output_dir: setting(text, 'The folder for the runs’ folders, relative to the working folder.', {
    default: 'runs',
    bits: false,
  }),
  seed: setting(seed, 'Of everything random but the choice of test rows.', { default: 42 }),
  quantization: setting(
    orFalse(section(QUANTIZATION)),
    '4-bit weights for the frozen base model. Default: none.',
  ),
  torch_dtype: setting(
    z.enum(['auto', 'float32', 'bfloat16', 'float16']),
    'The type of weights that are not quantized. auto: as the checkpoint has them.',
    { default: 'auto' as const },
  ),
  lora: setting(orFalse(section(LORA)), 'The adapter. Left out or false: every weight is trained.'),
  training: setting(
    orFalse(section(TRAINING)),
    'For all tasks; a task’s own section comes first. false: nothing is trained, only baselines are asked.',
  ),
  generation: setting(section(GENERATION), 'For all tasks; a task’s own section comes first.'),
  grid: setting(section(GRID), 'How lists in other fields, each an axis of a grid of runs, go together.'),
  search: setting(
    section(SEARCH),
    'Draws runs from the lists, and from ranges such as {low: 1e-5, high: 1e-3, log: true}, in place of all points of the grid.',
  ),
  report_to: setting(
    z.array(z.enum(TRACKER_NAMES)),
    'Who is told each step and figure: tensorboard (an event file in the task’s folder), mlflow (a server).',
    { default: ['tensorboard' as const], bits: false },
  ),
  mlflow: setting(section(MLFLOW), 'Where MLflow is told, in place of its environment variables.', {
    bits: false,
  }),
  tasks: z
    .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/), taskSection)
    .refine((tasks) => Object.keys(tasks).length > 0, { error: 'needs one task at least' })
    .describe('The tasks, by names of your choice (letters, digits, _ and -).'),
};

export const configSchema = section(TOP);

/** A configuration that stands in a file. */
export type ConfigFile = Values<typeof TOP>;

/** By dotted name, what changes no bit of a result. */
export const BITLESS: ReadonlySet<string> = new Set(
  [...settingsOf(configSchema)].flatMap(([path, { bits }]) => (bits ? [] : [path.join('.')])),
);
