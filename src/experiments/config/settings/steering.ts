/** Settings of training that there were not always: evaluations and what they steer, and what some schedules are told besides. */

import { z } from 'zod';
import { LATER_DEFAULTS } from '../../../train/arguments.js';
import { CURVES, scheduleFault, type Schedule } from '../../../train/schedule.js';
import { EVAL_STRATEGIES } from '../../../train/steering.js';
import {
  atLeastZero,
  belowOne,
  flag,
  positive,
  section,
  setting,
  share,
  text,
  whole,
  type Given,
} from '../../../util/settings.js';

const KWARGS = {
  num_cycles: setting(
    positive,
    'Of the cosines: waves, half of one is a fall; with restarts how often it falls. Default 0.5; with restarts 1.',
  ),
  power: setting(positive, 'Of polynomial. Default 1.'),
  lr_end: setting(atLeastZero, 'Of polynomial: the last rate. Default 1e-7.'),
  timescale: setting(whole(1), 'Of inverse_sqrt. Default: the steps of the warm-up, or 10000.'),
  num_decay_steps: setting(whole(0), 'Of warmup_stable_decay, which needs it.'),
  num_stable_steps: setting(whole(0), 'Of warmup_stable_decay. Default: what warm-up and decay leave.'),
  min_lr_ratio: setting(share, 'Of warmup_stable_decay: the first and last rate, as a share. Default 0.'),
  warmup_type: setting(z.enum(CURVES), 'Of warmup_stable_decay. Default linear.'),
  decay_type: setting(z.enum(CURVES), 'Of warmup_stable_decay. Default cosine.'),
  min_lr: setting(atLeastZero, 'Of cosine_with_min_lr: the last rate.'),
  min_lr_rate: setting(share, 'The same as a share of learning_rate.'),
};

/** The defaults are told, and not kept: a run's settings hold of these what is other than before they were there. */
export const LATER = {
  lr_scheduler_kwargs: setting(section(KWARGS), 'What some schedules are told besides.'),
  label_smoothing_factor: setting(belowOne, 'Share of each target that goes to all tokens alike.', {
    default: LATER_DEFAULTS.label_smoothing_factor,
  }),
  group_by_length: setting(flag, 'Texts of like length go together; with packing none.', {
    default: LATER_DEFAULTS.group_by_length,
  }),
  eval_strategy: setting(
    z.enum(EVAL_STRATEGIES),
    'When the loss of the validation rows is taken: not at all, every eval_steps, or behind each epoch.',
    { default: LATER_DEFAULTS.eval_strategy },
  ),
  eval_steps: setting(
    z
      .number()
      .gt(0)
      .refine((steps) => steps < 1 || Number.isInteger(steps), {
        error: 'must be a whole number of steps, or a share of them below 1',
      }),
    'Steps between evaluations; below 1 a share of all steps. Default: logging_steps.',
  ),
  load_best_model_at_end: setting(flag, 'Keep what was best in an evaluation, not what stands at the end.', {
    default: LATER_DEFAULTS.load_best_model_at_end,
  }),
  metric_for_best_model: setting(
    text,
    'What says which is best: loss, or a figure of the task, such as accuracy or rougeL, for which each evaluation answers the ' +
      'validation rows.',
    { default: LATER_DEFAULTS.metric_for_best_model },
  ),
  greater_is_better: setting(flag, 'Default: true, but false for loss.'),
  early_stopping_patience: setting(
    whole(0),
    'Stop after so many evaluations in a row that are no better than the best before; 0: never.',
    { default: LATER_DEFAULTS.early_stopping_patience },
  ),
  early_stopping_threshold: setting(
    atLeastZero,
    'By more than this an evaluation must be better, that patience begins anew.',
    { default: LATER_DEFAULTS.early_stopping_threshold },
  ),
};

/** What else of a task these settings go with. */
interface Beside extends Schedule {
  readonly packing: string;
  /** There are validation rows. */
  readonly validated: boolean;
  /** What its answers can be scored by. */
  readonly figures: readonly string[];
}

/** Of a task's settings that do not fit together, the one that is to be mended and what is wrong with it. */
export function* steeringFaults(
  given: Given<typeof LATER>,
  { packing, validated, figures, ...schedule }: Beside,
): Generator<readonly [key: keyof typeof LATER, message: string]> {
  const fault = scheduleFault(schedule);
  if (fault !== undefined) yield ['lr_scheduler_kwargs', fault];
  if (given.group_by_length && packing !== 'none')
    yield [
      'group_by_length',
      `goes with packing: none; blocks that are packed (${packing}) have no lengths to group by`,
    ];
  const { eval_strategy = 'no', metric_for_best_model: metric = 'loss' } = given;
  const steered = [
    ...(given.load_best_model_at_end ? (['load_best_model_at_end'] as const) : []),
    ...(given.early_stopping_patience ? (['early_stopping_patience'] as const) : []),
  ];
  if (eval_strategy === 'no') for (const key of steered) yield [key, 'needs eval_strategy: steps or epoch'];
  else if (!validated)
    yield [
      'eval_strategy',
      `needs validation rows: give the task 'validation', or split: {validation: 0.1}, which takes them from train`,
    ];
  const known = ['loss', ...figures];
  if (!known.includes(metric.replace(/^eval_/, '')))
    yield ['metric_for_best_model', `must be one of ${known.join(', ')}; it is ${JSON.stringify(metric)}`];
}
