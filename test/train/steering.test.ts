/** What is decided of a training's evaluations: golden cases of transformers' Trainer, and what holds of any series. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  checkSteering,
  decide,
  isEvaluated,
  steeringOf,
  superseded,
  type Evaluation,
  type Steering,
} from '../../src/train/steering.js';

interface Case {
  readonly eval_strategy: 'steps' | 'epoch';
  readonly eval_steps: number | null;
  readonly rows: number;
  readonly num_train_epochs: number;
  readonly metric_for_best_model: string;
  readonly greater_is_better: boolean;
  readonly load_best_model_at_end: boolean;
  readonly early_stopping_patience: number | null;
  readonly early_stopping_threshold: number | null;
  readonly save_total_limit: number | null;
  /** JSON has no word for numbers that are none: they are texts. */
  readonly series: readonly (number | string)[];
  readonly expected: {
    readonly evaluated: readonly number[];
    readonly stopped: number;
    readonly best: number | null;
    readonly best_metric: number | string | null;
    readonly weight: number;
    readonly kept: readonly number[];
  };
}

const golden = new URL('../golden/steering/early-stopping.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(golden, 'utf8')) as { cases: Case[] };

/** A training of which only the steps' numbers are there, with a checkpoint behind each evaluation. */
function walk(of: Case): Case['expected'] {
  const steering = steeringOf({
    eval_strategy: of.eval_strategy,
    eval_steps: of.eval_steps ?? undefined,
    load_best_model_at_end: of.load_best_model_at_end,
    metric_for_best_model: of.metric_for_best_model,
    greater_is_better: of.greater_is_better,
    early_stopping_patience: of.early_stopping_patience ?? undefined,
    early_stopping_threshold: of.early_stopping_threshold ?? undefined,
  })!;
  const course = { steps: of.rows * of.num_train_epochs, perEpoch: of.rows };
  const limit = of.save_total_limit ?? 0;
  const evaluations: Evaluation[] = [];
  let kept: number[] = [];
  let step = 0;
  const drop = (ended: boolean): void => {
    const gone = superseded(kept, limit, decide(steering, evaluations).best?.step, ended);
    kept = kept.filter((one) => !gone.includes(one));
  };
  while (step < course.steps && !decide(steering, evaluations).stop) {
    step++;
    if (!isEvaluated(steering, step, course)) continue;
    evaluations.push({ step, figure: Number(of.series[evaluations.length]) });
    kept.push(step);
    drop(false);
  }
  drop(true);
  const { best } = decide(steering, evaluations);
  return {
    evaluated: evaluations.map((one) => one.step),
    stopped: step,
    best: best?.step ?? null,
    best_metric: best?.figure ?? null,
    weight: steering.load_best_model_at_end ? (best?.step ?? step) : step,
    kept,
  };
}

test("the choices are those of transformers' Trainer", () => {
  assert.equal(cases.length, 160);
  for (const [i, one] of cases.entries()) {
    const wanted = { ...one.expected };
    const got = walk(one);
    // Before anything was better than nothing, Trainer has infinity for its best.
    if (got.best === null && wanted.best_metric !== null)
      assert.equal(Number(wanted.best_metric), one.greater_is_better ? -Infinity : Infinity);
    else assert.equal(got.best_metric, wanted.best_metric === null ? null : Number(wanted.best_metric));
    assert.deepEqual({ ...got, best_metric: 0 }, { ...wanted, best_metric: 0 }, `case ${i}`);
  }
});

test('a share of the steps is rounded up', () => {
  const course = { steps: 25, perEpoch: 7 };
  const at = (eval_steps: number): number[] =>
    Array.from({ length: 25 }, (_, i) => i + 1).filter((step) =>
      isEvaluated({ eval_strategy: 'steps', eval_steps }, step, course),
    );
  assert.deepEqual(at(0.3), [8, 16, 24, 25]);
  assert.deepEqual(at(0.01), at(1));
  assert.deepEqual(at(100), [25]);
});

test('what a metric is called decides which way is better, unless it is said', () => {
  const of = (more: Partial<Steering>): boolean =>
    steeringOf({ eval_strategy: 'epoch', ...more })!.greater_is_better;
  assert.equal(of({}), false);
  assert.equal(of({ metric_for_best_model: 'eval_loss' }), false);
  assert.equal(of({ metric_for_best_model: 'accuracy' }), true);
  assert.equal(of({ metric_for_best_model: 'accuracy', greater_is_better: false }), false);
  assert.equal(steeringOf({ load_best_model_at_end: true }), undefined);
});

test('what would steer without evaluations is refused, and so is what is no number', () => {
  for (const wrong of [
    { load_best_model_at_end: true },
    { early_stopping_patience: 2 },
    { eval_strategy: 'steps' },
    { eval_strategy: 'steps', eval_steps: 1.5 },
    { eval_strategy: 'steps', eval_steps: Number.NaN },
    { eval_strategy: 'never' },
    { eval_strategy: 'epoch', early_stopping_patience: -1 },
    { eval_strategy: 'epoch', early_stopping_threshold: -0.1 },
  ] as Partial<Steering>[])
    assert.throws(() => checkSteering(wrong), RangeError, JSON.stringify(wrong));
  checkSteering({ eval_strategy: 'steps', eval_steps: 0.5, early_stopping_patience: 1 });
});

const figures = fc.array(fc.oneof(fc.double(), fc.integer({ min: 0, max: 4 }).map(Number)), {
  maxLength: 30,
});
const steerings = fc.record({
  greater_is_better: fc.boolean(),
  early_stopping_patience: fc.integer({ min: 0, max: 4 }),
  early_stopping_threshold: fc.constantFrom(0, 0.5),
});

test('the best is better than all before it, and no worse than any behind it', () => {
  fc.assert(
    fc.property(figures, steerings, (series, some) => {
      const steering = steeringOf({ eval_strategy: 'epoch', ...some })!;
      const evaluations = series.map((figure, i) => ({ step: i + 1, figure }));
      const { best } = decide(steering, evaluations);
      const sign = some.greater_is_better ? 1 : -1;
      const numbers = evaluations.filter(({ figure }) => sign * figure > -Infinity);
      assert.equal(best === undefined, numbers.length === 0);
      for (const { step, figure } of numbers)
        assert.ok(
          step < best!.step ? sign * figure < sign * best!.figure : sign * figure <= sign * best!.figure,
        );
    }),
  );
});

test('of checkpoints as many as the limit stay, the newest and the best among them, and the newest of the others', () => {
  const steps = fc.uniqueArray(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 5 }), fc.nat(), (some, limit, at) => {
      const all = some.sort((a, b) => a - b);
      const best = at % 3 === 0 ? undefined : all[at % all.length];
      const gone = superseded(all, limit, best);
      const kept = all.filter((step) => !gone.includes(step));
      assert.ok(kept.includes(all.at(-1)!) && (best === undefined || kept.includes(best)));
      const needed = new Set([all.at(-1), best ?? all.at(-1)]).size;
      assert.equal(kept.length, limit === 0 ? all.length : Math.min(all.length, Math.max(limit, needed)));
      for (const step of gone) assert.ok(kept.every((other) => other > step || other === best));
    }),
  );
});
