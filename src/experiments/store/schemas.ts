/**
 * The shapes of what a run's folder holds, as its readers rely on them; what they do not know is passed on as it is. A folder may have
 * come from anyone, or from an earlier version, so each file is held to its schema when it is read (stored.ts, records.ts).
 */

import { z } from 'zod';
import { inTrain, type Overlap } from '../data/overlap.js';
import { METRIC_NAMES, metricOptionsSchema } from '../../eval/index.js';
import { METHOD_NAMES, TASK_NAMES } from '../../tasks/index.js';
import { SCORINGS } from '../config/index.js';
import { DECONTAMINATE, DEDUPLICATE } from '../config/settings/rows.js';

const count = z.int().nonnegative();

/** Names become paths. */
const taskName = z.string().regex(/^(?!\.{1,2}$)[^/\\\0]+$/);

/** JSON has no NaN: a figure that was none is null. */
const figure = z
  .number()
  .nullable()
  .transform((x) => x ?? Number.NaN);

const from = [
  z.looseObject({
    path: z.string(),
    format: z.string().optional(),
    delimiter: z.string().length(1).optional(),
  }),
  z.looseObject({ hub: z.string(), split: z.string() }),
] as const;

const mixed = z.looseObject({ name: z.string(), from: z.union(from), weight: z.number().optional() });

const source = z.looseObject({
  from: z.union([...from, z.looseObject({ mixture: z.array(mixed).min(1) })]),
  columns: z.record(z.string(), z.string()),
  fraction: z.number().optional(),
  count: count.optional(),
  seed: count.optional(),
  part: z
    .looseObject({ of: z.string(), test: z.number().optional(), validation: z.number().optional() })
    .optional(),
});

const section = z.record(z.string(), z.unknown());

/** What readers follow of a training's settings. */
const steering = z.looseObject({
  eval_strategy: z.string().optional(),
  load_best_model_at_end: z.boolean().optional(),
  metric_for_best_model: z.string().optional(),
  greater_is_better: z.boolean().optional(),
});

const lora = z.looseObject({
  r: count,
  lora_alpha: z.number(),
  target_modules: z.union([z.string(), z.array(z.string())]),
});

const task = z.looseObject({
  name: taskName,
  settings: z.looseObject({
    task: z.enum(TASK_NAMES),
    labels: z.array(z.string()).optional(),
  }),
  train: source.optional(),
  test: source.optional(),
  tune: z.boolean(),
  baselines: z.array(z.string()),
  scoring: z.enum(SCORINGS),
  few_shot_examples: count,
  lora: z.union([z.literal(false), lora]),
  training: section.and(steering),
  generation: section,
});

export const manifestSchema = z.looseObject({
  id: z.string(),
  westwind: z.string(),
  started: z.iso.datetime(),
  commit: z.string().optional(),
  code: z.string().optional(),
  machine: section.optional(),
  dependencies: z.record(z.string(), z.string()).optional(),
  fingerprints: z.looseObject({
    model: z.string(),
    data: z.record(z.string(), z.string()),
    backend: z.string(),
  }),
  weights: z.string().optional(),
  config: z.looseObject({
    model_name_or_path: z.string(),
    revision: z.string(),
    seed: count,
    weights: z.looseObject({
      dtype: z.string(),
      quantization: z.looseObject({ doubleQuant: z.boolean() }).optional(),
    }),
    search: z
      .looseObject({
        ...{ method: z.string(), trials: count, seed: count, trial: z.int().positive() },
        metric: z.string().optional(),
      })
      .optional(),
    tasks: z.array(task),
  }),
});

const interval = z.object({ low: figure, high: figure });
const check = z.object({
  mean: figure,
  interval,
  min: z.number().optional(),
  max: z.number().optional(),
});

const namedRows = z.array(z.looseObject({ row: z.string(), of: z.string() }));

const OVERLAP = {
  shared: count,
  shared_examples: count,
  // Of what was not counted yet nothing is told.
  ...inTrain(() => count.default(0)),
  train_near_repeats: count.default(0),
  train_repeats: count,
  test_repeats: count,
  rows: z.record(z.string(), namedRows).optional(),
  left_out: z
    .looseObject({
      deduplicate: z.looseObject({ how: z.enum(DEDUPLICATE), count, rows: namedRows }).optional(),
      decontaminate: z.looseObject({ how: z.enum(DECONTAMINATE), count, rows: namedRows }).optional(),
    })
    .optional(),
} satisfies Record<keyof Overlap, z.ZodType>;

/** A task's result. */
export const resultSchema = z.looseObject({
  task: taskName,
  kind: z.enum(TASK_NAMES),
  metric: z.enum(METRIC_NAMES),
  ...metricOptionsSchema.shape,
  train_rows: count,
  validation_rows: count.optional(),
  test_rows: count,
  overlap: z.looseObject(OVERLAP).optional(),
  methods: z.array(
    z.looseObject({
      method: z.enum(METHOD_NAMES),
      metrics: z.record(z.string(), figure),
      intervals: z.record(z.string(), interval).default({}),
      rows: count,
      unanswered: count,
      unread: count.optional(),
      seconds: z.number(),
      checks: z.record(z.string(), check).optional(),
    }),
  ),
  training: z
    .looseObject({
      ...{ steps: count, first_loss: figure, last_loss: figure, tokens: count, seconds: z.number() },
      best_step: count.optional(),
      best_metric: figure.optional(),
      metric_for_best_model: z.string().optional(),
      stopped_early: z.boolean().optional(),
      stopped_by: z.literal('search').optional(),
    })
    .optional(),
});

/** A run's failure. */
export const failureSchema = z.looseObject({ message: z.string() });

/** Of a label that the model cannot say, JSON has null for −∞. */
const logLikelihoods = z
  .array(
    z
      .number()
      .nullable()
      .transform((x) => x ?? -Infinity),
  )
  .optional();

/** An answer. */
export const predictionSchema = z.looseObject({
  row: count,
  reference: z.string(),
  answer: z.string().nullable(),
  text: z.string().optional(),
  tokens: count.optional(),
  finish: z.enum(['stop', 'length']).optional(),
  log_likelihoods: logLikelihoods,
  normalized_log_likelihoods: logLikelihoods,
});

/** A step. */
export const stepSchema = z.looseObject({
  step: z.int().positive(),
  steps: z.int().positive(),
  epoch: z.number(),
  loss: figure,
  grad_norm: figure,
  learning_rate: z.number(),
  tokens: count,
  trained_tokens: count,
  seconds: z.number(),
  losses: z.record(z.string(), figure).optional(),
  time: z.number(),
});

/** An evaluation. */
export const evaluationSchema = z.looseObject({
  step: z.int().positive(),
  epoch: z.number(),
  loss: figure,
  metrics: z.record(z.string(), figure).optional(),
  best: z.boolean(),
  seconds: z.number(),
  time: z.number(),
});

/** A decision of a search. */
export const rungSchema = z.looseObject({
  evaluation: z.int().positive(),
  step: z.int().positive(),
  metric: z.string(),
  figure,
  tried: count,
  cutoff: z.number().optional(),
  stop: z.boolean(),
});

const answers = z.object({
  metrics: z.record(z.string(), figure),
  intervals: z.record(z.string(), interval),
  unanswered: count,
});

/** An exported file's certificate. */
export const certificateSchema = z.looseObject({
  file: z.looseObject({ name: z.string(), format: z.string(), type: z.string() }),
  run: z.looseObject({ id: z.string(), task: z.string() }),
  reader: z.object({ name: z.string(), version: z.string(), independent: z.boolean() }),
  ...{ made: z.string(), test_rows: count, certified_rows: count },
  tokens: z.looseObject({ equal_rows: count }),
  prompts: z.looseObject({ equal_rows: count, known_rows: count }).optional(),
  ...{ places: count, largest_logit_difference: figure, kl_divergence: figure },
  perplexity: z.object({ run: figure, exported: figure }),
  metric: z.enum(METRIC_NAMES),
  ...{ run_answers: answers, exported_answers: answers },
  paired: z.looseObject({ difference: figure, interval, p: figure }),
  ...{ faults: z.array(z.string()), notes: z.array(z.string()) },
});

/** A method's checks. */
export const checksSchema = z.looseObject({
  from: z.string(),
  checks: z.record(z.string(), check),
  rows: z.array(z.record(z.string(), z.number())),
});

export const trainedSchema = z.looseObject({ steps: count });

/** Training rows, token by token. */
export const inspectedSchema = z.array(
  z.looseObject({
    row: z.number(),
    source: z.string().optional(),
    shortened: z.boolean(),
    trained: z.number(),
    tokens: z.array(z.looseObject({ text: z.string(), trained: z.boolean() })),
  }),
);
