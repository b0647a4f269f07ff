/**
 * A task's section: what every kind of task has, and what its own file in src/tasks adds. What is left out comes from the task's own
 * section, the top level's and then the defaults, in that order.
 */

import { z } from 'zod';
import { METRIC_SETTINGS } from '../../../eval/index.js';
import type { LoraConfig } from '../../../adapters/config.js';
import {
  BASELINES,
  definitionOf,
  isLabelled,
  TASK_NAMES,
  taskColumns,
  type Baseline,
  type Method,
  type TaskDefaults,
  type TaskDefinition,
  type TaskName,
  type TaskSettings,
} from '../../../tasks/index.js';
import { flag, section, setting, text, whole, withDefaults, type Values } from '../../../util/settings.js';
import { bySection, SECTION_SPLITS, SPLITS } from '../splits.js';
import { unknownKey, type Path, type Problem } from '../problems.js';
import {
  check,
  GENERATION,
  resolveCheck,
  resolveGeneration,
  SCORING,
  type LikelihoodNormalization,
  type ResolvedCheck,
  type ResolvedGeneration,
  type Scoring,
} from './answers.js';
import { byTask } from './by-task.js';
import {
  dataSource,
  isTested,
  LEAVING_OUT,
  mixedSource,
  mixtureProblems,
  resolveRows,
  split,
  type Decontaminate,
  type Deduplicate,
  type ResolvedSplits,
} from './rows.js';
import { LORA, resolveLora, resolveTraining, TRAINING, type ResolvedTraining } from './tuning.js';

/** Whether a section stands at all is a setting, too: false turns off what the top level has. */
export const orFalse = <Type extends z.ZodType>(type: Type) => z.union([z.literal(false), type]);

type ColumnNames = z.ZodType<Readonly<Record<string, string | undefined>>>;

/** `defaults`: where the kind of task is known. */
function commonSettings(columns: ColumnNames, columnsDescription: string, defaults?: TaskDefaults) {
  const source = dataSource(columns);
  return {
    ...bySection((name) => setting(source, SPLITS[name].section)),
    train: setting(mixedSource(columns), SPLITS.train.section),
    split: setting(
      split,
      'Makes test and validation rows of the rows of train, which no training sees. Default: none.',
    ),
    allow_overlap: setting(flag, 'Test on rows that are trained on: else such a test set is refused.', {
      default: false,
      bits: false,
    }),
    ...LEAVING_OUT,
    columns: setting(columns, columnsDescription),
    baselines: setting(
      z.array(z.enum(BASELINES)),
      'Ask the model before tuning, too. Default: zero_shot, and few_shot where there is training data.',
    ),
    max_new_tokens: setting(whole(1), 'Tokens of a tuned model’s answer at most.', {
      default: byTask('max_new_tokens'),
    }),
    baseline_max_new_tokens: setting(
      whole(1),
      `The same before tuning. Default ${byTask('baseline_max_new_tokens').text}, else as max_new_tokens.`,
    ),
    checks: setting(
      z.array(check),
      'Further figures of the answers, each a column, and what they must come to: of the tuned model where there is one. Default: none.',
      { bits: false },
    ),
    adapter: setting(
      orFalse(text.describe('A folder.')),
      'In place of the top level’s adapter; false: a new one.',
    ),
    lora: setting(orFalse(section(LORA, defaults)), 'What differs from the top level’s lora.'),
    training: setting(orFalse(section(TRAINING, defaults)), 'What differs from the top level’s training.'),
    generation: setting(section(GENERATION), 'What differs from the top level’s generation.'),
  };
}

/** Behind a task's own settings. */
const FEW_SHOT = {
  few_shot_examples: setting(
    whole(1),
    'Examples in a few-shot prompt: of each class where answers are classes, else in all.',
    { default: byTask('few_shot_examples') },
  ),
};

type CommonSection = Values<ReturnType<typeof commonSettings>> & Partial<Values<typeof FEW_SHOT>>;
type ScoringSection = Partial<Values<typeof SCORING>>;
/** Settings of its own, `scoring` and its kin are there where the kind of task has them. */
export type TaskFile = TaskSettings & CommonSection & ScoringSection;

function sectionOf(name: TaskName) {
  const { description, settings, columnNames, defaults }: TaskDefinition<TaskSettings> = definitionOf({
    task: name,
  });
  return section(
    {
      task: z.literal(name).describe(description),
      ...commonSettings(columnNames.type, columnNames.description, defaults),
      ...settings,
      ...('labels' in settings && SCORING),
      ...(defaults.few_shot_examples !== undefined && FEW_SHOT),
    },
    defaults,
  );
}

const sections = TASK_NAMES.map(sectionOf);

/** A section of any kind of task. */
export const taskSection = z.discriminatedUnion(
  'task',
  sections as [(typeof sections)[number], ...typeof sections],
) as unknown as z.ZodType<TaskFile>;

/** What the top level says to all tasks. */
export interface TopLevel {
  readonly adapter?: string | undefined;
  readonly lora?: CommonSection['lora'];
  readonly training?: CommonSection['training'];
  readonly generation?: CommonSection['generation'];
}

/** A task of a configuration with every default filled in. */
export interface ResolvedTask extends ResolvedSplits {
  readonly name: string;
  /** The configuration that it comes from, where the file itself only extends that. */
  readonly inheritedFrom?: string;
  readonly settings: TaskSettings;
  /** Test rows may be training rows. */
  readonly allow_overlap: boolean;
  /** Training rows that are left out. */
  readonly deduplicate?: Deduplicate;
  readonly decontaminate?: Decontaminate;
  /** Whether something is trained. */
  readonly tune: boolean;
  readonly baselines: readonly Baseline[];
  readonly scoring: Scoring;
  readonly likelihood_normalization: LikelihoodNormalization;
  /** Of each class for a classification, else in all. */
  readonly few_shot_examples: number;
  readonly checks: readonly ResolvedCheck[];
  /** The folder of the adapter that training starts from. */
  readonly adapter?: string;
  /** False: every weight is trained. */
  readonly lora: LoraConfig | false;
  readonly training: ResolvedTraining;
  readonly generation: ResolvedGeneration;
}

/** Whether a method's answers depend on the run's seed: zero-shot prompts are the same for each, and draw nothing unless told to. */
export function dependsOnSeed(
  { scoring, generation }: Pick<ResolvedTask, 'scoring' | 'generation'>,
  method: Method,
): boolean {
  return method !== 'zero_shot' || (generation.do_sample && scoring !== 'likelihood');
}

export function resolveTask(name: string, task: TaskFile, top: TopLevel, seed: number): ResolvedTask {
  const { defaults } = definitionOf(task);
  const settings = settingsOf(task);
  const { validation, ...rows } = resolveRows(task, rolesOf(settings), isLabelled(settings));
  const adapter = (task.adapter ?? top.adapter) || undefined;
  const lora = task.lora ?? top.lora ?? (adapter === undefined ? false : {});
  const training = task.training ?? top.training ?? {};
  const max_new_tokens = task.max_new_tokens ?? defaults.max_new_tokens;
  const baselineTokens = Math.min(max_new_tokens, defaults.baseline_max_new_tokens ?? max_new_tokens);
  const { scoring, likelihood_normalization } = withDefaults(SCORING, task);
  const tune = rows.train !== undefined && training !== false;
  return {
    name,
    settings,
    ...rows,
    // Without a training its rows are of no use; a part is what it leaves out of the others.
    ...(validation && (tune || validation.part) && { validation }),
    allow_overlap: task.allow_overlap ?? false,
    ...(task.deduplicate && { deduplicate: task.deduplicate }),
    ...(task.decontaminate && { decontaminate: task.decontaminate }),
    tune,
    baselines: task.baselines ?? defaultBaselines(task),
    scoring,
    likelihood_normalization,
    few_shot_examples: task.few_shot_examples ?? defaults.few_shot_examples ?? 0,
    checks: (task.checks ?? []).map(resolveCheck),
    ...(adapter !== undefined && { adapter }),
    lora: lora === false ? false : resolveLora({ ...(top.lora || {}), ...lora }, defaults),
    training: resolveTraining({ ...(top.training || {}), ...(training || {}) }, defaults, seed),
    generation: {
      ...resolveGeneration({ ...top.generation, ...task.generation }, seed),
      max_new_tokens,
      baseline_max_new_tokens: task.baseline_max_new_tokens ?? baselineTokens,
    },
  };
}

/** The settings that are the kind's own, with their defaults; a metric's stay as they are said, for so the ids of runs have them. */
function settingsOf(task: TaskFile): TaskSettings {
  const { settings } = definitionOf(task);
  const others = Object.entries(settings).filter(([key]) => !(key in METRIC_SETTINGS));
  const keys = Object.keys(settings) as (keyof TaskSettings)[];
  return {
    task: task.task,
    ...Object.fromEntries(keys.map((key) => [key, task[key]])),
    ...withDefaults(Object.fromEntries(others), task),
  } as TaskSettings;
}

/** The columns of a task, each once. */
function rolesOf(settings: TaskSettings): string[] {
  const { inputs, answers } = taskColumns(settings);
  return [...new Set([...inputs, ...answers])];
}

function defaultBaselines(task: TaskFile): Baseline[] {
  if (!isTested(task)) return [];
  const { baselines = BASELINES } = definitionOf(task);
  return baselines.filter((method) => method !== 'few_shot' || task.train !== undefined);
}

/** What does not fit together within a task. */
export function taskProblems(path: Path, task: TaskFile): Problem[] {
  const problems: Problem[] = [];
  const add = (key: Path, message: string): unknown => problems.push({ path: [...path, ...key], message });
  if (task.train === undefined && task.test === undefined) add([], `needs 'train', 'test' or both`);
  if (task.split !== undefined && task.train === undefined)
    add(['split'], `needs 'train', whose rows it parts`);
  for (const [key, message] of mixtureProblems(task.train ?? {})) add(['train', 'mixture', ...key], message);
  for (const part of ['test', 'validation'] as const)
    if (task.split?.[part] !== undefined && task[part] !== undefined)
      add(['split', part], `cannot be given together with '${part}': the one makes what the other names`);
  if (task.validation !== undefined && task.train === undefined)
    add(['validation'], `needs 'train', whose training is evaluated on it`);
  for (const key of ['deduplicate', 'decontaminate'] as const)
    if (task[key] && task.train === undefined) add([key], `needs 'train', whose rows it leaves out`);
  if (
    task.decontaminate &&
    task.split === undefined &&
    SECTION_SPLITS.every((s) => s === 'train' || !task[s])
  )
    add(['decontaminate'], `needs 'test' or 'split', whose rows it looks for among the training rows`);
  if (task.train === undefined && task.baselines?.includes('few_shot'))
    add(['baselines'], `few_shot needs 'train' to take examples from`);
  const { baselines: possible = BASELINES } = definitionOf(task);
  for (const method of (task.baselines ?? []).filter((one) => !possible.includes(one)))
    add(['baselines'], `have ${method}, and a ${task.task} can be asked by ${possible.join(', ')} alone`);
  const settings = settingsOf(task);
  for (const { path: key, message } of definitionOf(task).problems?.(settings, task) ?? []) add(key, message);
  if (!isTested(task) && (task.baselines?.length ?? 0) > 0) add(['baselines'], `need 'test' rows to answer`);
  const names = (task.checks ?? []).map((one) => resolveCheck(one).name);
  for (const [i, name] of names.entries())
    if (names.indexOf(name) < i) add(['checks', i], `has the name ${name}, which an earlier check has`);
  if (names.length > 0 && !isTested(task)) add(['checks'], `need 'test' rows to look at`);
  if (task.likelihood_normalization !== undefined && (task.scoring ?? 'generate') === 'generate')
    add(['likelihood_normalization'], 'goes with scoring: likelihood or both');
  problems.push(...columnProblems(path, task, rolesOf(settings)));
  if (!isLabelled(settings)) {
    const refuse = (path: Path): unknown =>
      add([...path, 'stratify'], 'needs labels, and this task has none');
    for (const part of ['split', ...SECTION_SPLITS] as const)
      if (task[part]?.stratify === true) refuse([part]);
    for (const [i, { stratify }] of (task.train?.mixture ?? []).entries())
      if (stratify === true) refuse(['train', 'mixture', i]);
  }
  return problems;
}

/** Names for columns that the task has not. */
function columnProblems(path: Path, task: TaskFile, roles: readonly string[]): Problem[] {
  const places = [
    [['columns'], task.columns] as const,
    ...SECTION_SPLITS.map((split) => [[split, 'columns'], task[split]?.columns] as const),
    ...(task.train?.mixture ?? []).map(
      ({ columns }, i) => [['train', 'mixture', i, 'columns'], columns] as const,
    ),
  ];
  return places.flatMap(([key, columns]) =>
    Object.keys(columns ?? {})
      .filter((name) => !roles.includes(name))
      .map((column) => unknownKey([...path, ...key, column], roles)),
  );
}
