/** Rates of steps, as transformers' schedules give them. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  learningRate,
  scheduleFault,
  type SchedulerKwargs,
  type SchedulerType,
} from '../../src/train/schedule.js';

interface Case {
  readonly name: SchedulerType;
  readonly kwargs: SchedulerKwargs;
  readonly learning_rate: number;
  readonly warmup_steps: number;
  readonly total: number;
  readonly rates: readonly number[];
}

const golden = new URL('../golden/steering/schedules.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(golden, 'utf8')) as { cases: Case[] };

test('schedules follow transformers', () => {
  assert.ok(cases.length >= 50);
  for (const { name, kwargs, learning_rate, warmup_steps, total, rates } of cases) {
    const schedule = {
      lr_scheduler_type: name,
      ...(Object.keys(kwargs).length > 0 && { lr_scheduler_kwargs: kwargs }),
      ...{ learning_rate, warmup_steps, warmup_ratio: 0 },
    };
    assert.equal(scheduleFault(schedule), undefined);
    for (const [step, rate] of rates.entries()) {
      const got = learningRate(schedule, step, total);
      // Sums in another order differ by roundings of the highest rate.
      const about = `${name} ${JSON.stringify(kwargs)} step ${step} of ${total}, warm-up ${warmup_steps}`;
      assert.ok(Math.abs(got - rate) <= 1e-14 * learning_rate, `${about}: ${got}, wanted ${rate}`);
    }
  }
});

test('a share of the steps warms up', () => {
  const s = { learning_rate: 1, warmup_ratio: 0.1, warmup_steps: 0 };
  const rates = (type: SchedulerType, steps: number[]): number[] =>
    steps.map((step) => learningRate({ ...s, lr_scheduler_type: type }, step, 100));
  assert.deepEqual(rates('constant', [0, 99]), [1, 1]);
  assert.deepEqual(rates('constant_with_warmup', [0, 5, 10, 99]), [0, 0.5, 1, 1]);
  assert.deepEqual(rates('linear', [0, 5, 10, 55]), [0, 0.5, 1, 0.5]);
  assert.ok(Math.abs(rates('cosine', [55])[0]! - 0.5) < 1e-12);
});

test('what a schedule does not take is refused by name', () => {
  const of = (lr_scheduler_type: SchedulerType, lr_scheduler_kwargs?: SchedulerKwargs): string | undefined =>
    scheduleFault({
      lr_scheduler_type,
      lr_scheduler_kwargs,
      ...{ learning_rate: 1e-4, warmup_ratio: 0, warmup_steps: 0 },
    });
  assert.match(of('linear', { power: 2 })!, /has power.*linear takes none/);
  assert.match(of('polynomial', { num_cycles: 2 })!, /has num_cycles.*polynomial takes power, lr_end/);
  assert.match(of('polynomial', { lr_end: 1e-4 })!, /lr_end.*below/);
  assert.match(of('warmup_stable_decay')!, /needs num_decay_steps/);
  assert.match(of('cosine_with_min_lr')!, /needs either min_lr or min_lr_rate/);
  assert.match(of('cosine_with_min_lr', { min_lr: 1e-6, min_lr_rate: 0.1 })!, /needs either/);
  assert.equal(of('polynomial', { lr_end: undefined }), undefined);
});
