/** Learning rates over the steps, as transformers' schedules of the same names give them. */

type SchedulerType = 'constant' | 'constant_with_warmup' | 'linear' | 'cosine';

export interface Schedule {
  readonly lr_scheduler_type: SchedulerType;
  readonly learning_rate: number;
  readonly warmup_ratio: number;
  /** Where positive, it comes before the ratio. */
  readonly warmup_steps: number;
}

/** The rate of step `step` (from 0) of `total`. */
export function learningRate(s: Schedule, step: number, total: number): number {
  const warmup = s.warmup_steps > 0 ? s.warmup_steps : Math.ceil(total * s.warmup_ratio);
  if (s.lr_scheduler_type === 'constant') return s.learning_rate;
  if (step < warmup) return (s.learning_rate * step) / Math.max(1, warmup);
  const progress = (step - warmup) / Math.max(1, total - warmup);
  switch (s.lr_scheduler_type) {
    case 'constant_with_warmup':
      return s.learning_rate;
    case 'linear':
      return s.learning_rate * Math.max(0, 1 - progress);
    case 'cosine':
      return s.learning_rate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  }
}
