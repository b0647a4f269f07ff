/** Learning rates over the steps, as transformers' schedules of the same names give them: a row of a table each. */

/** What some schedule may be told besides; names, meanings and defaults are transformers'. */
export interface SchedulerKwargs {
  /** Of the cosine: its waves, or with restarts how often it falls. */
  readonly num_cycles?: number | undefined;
  readonly power?: number | undefined;
  /** A rate. */
  readonly lr_end?: number | undefined;
  readonly timescale?: number | undefined;
  readonly num_decay_steps?: number | undefined;
  /** Steps at the full rate; what else is left of the steps. */
  readonly num_stable_steps?: number | undefined;
  readonly min_lr_ratio?: number | undefined;
  readonly warmup_type?: Curve | undefined;
  readonly decay_type?: Curve | undefined;
  /** A rate, in place of `min_lr_rate`, a share of it. */
  readonly min_lr?: number | undefined;
  readonly min_lr_rate?: number | undefined;
}

/** How a decay falls, and a warm-up rises. */
export const CURVES = ['linear', 'cosine', '1-sqrt'] as const;
type Curve = (typeof CURVES)[number];

/** A step behind the warm-up, from 0; `total` counts the warm-up. */
interface At {
  readonly step: number;
  readonly warmup: number;
  readonly total: number;
  /** From 0 to 1 over the steps behind the warm-up. */
  readonly progress: number;
  readonly learning_rate: number;
}

interface Scheduler {
  /** What it can be told. */
  readonly kwargs: readonly (keyof SchedulerKwargs)[];
  /** The rate behind the warm-up, as a factor of the highest. */
  readonly factor: (at: At, kwargs: SchedulerKwargs) => number;
  /** In the place of a warm-up that rises from 0 in equal steps; null: there is none. */
  readonly warmUp?: ((progress: number, kwargs: SchedulerKwargs) => number) | null;
  /** What is wrong with what it is told. */
  readonly fault?: (kwargs: SchedulerKwargs, learning_rate: number) => string | undefined;
}

/** Where polynomial ends. */
const LR_END = 1e-7;

const SCHEDULERS = {
  constant: { kwargs: [], factor: () => 1, warmUp: null },
  constant_with_warmup: { kwargs: [], factor: () => 1 },
  linear: { kwargs: [], factor: ({ progress }) => Math.max(0, 1 - progress) },
  cosine: {
    kwargs: ['num_cycles'],
    factor: ({ progress }, { num_cycles = 0.5 }) => Math.max(0, wave(2 * num_cycles * progress)),
  },
  cosine_with_restarts: {
    kwargs: ['num_cycles'],
    factor: ({ progress }, { num_cycles = 1 }) =>
      progress >= 1 ? 0 : Math.max(0, wave((num_cycles * progress) % 1)),
  },
  cosine_with_min_lr: {
    kwargs: ['num_cycles', 'min_lr', 'min_lr_rate'],
    factor: ({ progress, learning_rate }, { num_cycles = 0.5, min_lr, min_lr_rate }) =>
      Math.max(0, above(min_lr_rate ?? min_lr! / learning_rate, wave(2 * num_cycles * progress))),
    fault: ({ min_lr, min_lr_rate }) =>
      (min_lr === undefined) === (min_lr_rate === undefined)
        ? 'needs either min_lr or min_lr_rate'
        : undefined,
  },
  polynomial: {
    kwargs: ['power', 'lr_end'],
    factor: ({ progress, learning_rate }, { power = 1, lr_end = LR_END }) =>
      ((learning_rate - lr_end) * (1 - Math.min(1, progress)) ** power + lr_end) / learning_rate,
    fault: ({ lr_end = LR_END }, learning_rate) =>
      lr_end < learning_rate
        ? undefined
        : `has lr_end ${lr_end}, which is not below learning_rate ${learning_rate}`,
  },
  inverse_sqrt: {
    kwargs: ['timescale'],
    factor: ({ step, warmup }, { timescale = warmup || 10_000 }) =>
      1 / Math.sqrt((step + timescale - warmup) / timescale),
  },
  warmup_stable_decay: {
    kwargs: [
      'num_decay_steps',
      'num_stable_steps',
      'min_lr_ratio',
      'warmup_type',
      'decay_type',
      'num_cycles',
    ],
    factor: ({ step, warmup, total }, kwargs) => {
      const {
        num_decay_steps: decay = 0,
        num_cycles = 0.5,
        min_lr_ratio = 0,
        decay_type = 'cosine',
      } = kwargs;
      const { num_stable_steps: stable = total - warmup - decay } = kwargs;
      if (step < warmup + stable) return 1;
      if (step >= warmup + stable + decay) return min_lr_ratio;
      const progress = (step - warmup - stable) / Math.max(1, decay);
      return Math.max(0, above(min_lr_ratio, falling(decay_type, progress, num_cycles)));
    },
    warmUp: (progress, { warmup_type = 'linear', min_lr_ratio = 0 }) =>
      Math.max(0, above(min_lr_ratio, falling(warmup_type, 1 - progress, 0.5))),
    fault: ({ num_decay_steps }) => (num_decay_steps === undefined ? 'needs num_decay_steps' : undefined),
  },
} as const satisfies Readonly<Record<string, Scheduler>>;

export type SchedulerType = keyof typeof SCHEDULERS;

/** In the table's order. */
export const SCHEDULER_TYPES = Object.keys(SCHEDULERS) as [SchedulerType, ...SchedulerType[]];

export interface Schedule {
  readonly lr_scheduler_type: SchedulerType;
  /** What the schedule is told besides. */
  readonly lr_scheduler_kwargs?: SchedulerKwargs | undefined;
  readonly learning_rate: number;
  readonly warmup_ratio: number;
  /** Where positive, it comes before the ratio. */
  readonly warmup_steps: number;
}

/** The rate of step `step` (from 0) of `total`. */
export function learningRate(s: Schedule, step: number, total: number): number {
  const { learning_rate, lr_scheduler_kwargs: kwargs = {} } = s;
  const { factor, warmUp }: Scheduler = SCHEDULERS[s.lr_scheduler_type];
  const warmup = s.warmup_steps > 0 ? s.warmup_steps : Math.ceil(total * s.warmup_ratio);
  if (step < warmup && warmUp !== null)
    return warmUp
      ? learning_rate * warmUp(step / Math.max(1, warmup), kwargs)
      : (learning_rate * step) / Math.max(1, warmup);
  const progress = (step - warmup) / Math.max(1, total - warmup);
  return learning_rate * factor({ step, warmup, total, progress, learning_rate }, kwargs);
}

/** What is wrong with a schedule's own settings, behind their name; undefined: nothing. */
export function scheduleFault({
  lr_scheduler_type: type,
  lr_scheduler_kwargs: kwargs = {},
  learning_rate,
}: Schedule): string | undefined {
  const { kwargs: known, fault }: Scheduler = SCHEDULERS[type];
  const said = Object.entries(kwargs).filter(([, value]) => value !== undefined);
  const stranger = said.map(([name]) => name).find((name) => !known.some((one) => one === name));
  if (stranger === undefined) return fault?.(kwargs, learning_rate);
  const takes = known.length > 0 ? `takes ${known.join(', ')}` : 'takes none';
  return `has ${stranger}, and lr_scheduler_type: ${type} ${takes}`;
}

/** From 1 to 0 and back over two half-waves: a half at each whole number. */
function wave(halves: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * halves));
}

/** A factor from `least` to 1 in the place of one from 0 to 1. */
function above(least: number, factor: number): number {
  return factor * (1 - least) + least;
}

/** From 1 down to 0 as progress goes from 0 to 1. */
function falling(curve: Curve, progress: number, num_cycles: number): number {
  if (curve === 'linear') return 1 - progress;
  return curve === 'cosine' ? wave(2 * num_cycles * progress) : 1 - Math.sqrt(progress);
}
