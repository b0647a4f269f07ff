/** Trainings that are evaluated: what is chosen, kept and gone on with, alone and together. */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attachLora, createLora, type LoraAdapter } from '../../src/adapters/lora.js';
import type { CausalLM } from '../../src/models/model.js';
import { flatten } from '../../src/train/batch.js';
import { latestCheckpoint } from '../../src/train/checkpoint.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import type { EvaluationRecord } from '../../src/train/evaluations.js';
import { evaluateLoss } from '../../src/train/step.js';
import { train, trainTogether, type TrainOptions, type TrainResult } from '../../src/train/trainer.js';
import { UserError } from '../../src/util/errors.js';
import { ARGS, backend, LORA, randomBlocks, tinyModel } from '../support/tiny.js';

const args: TrainingArguments = {
  ...ARGS,
  max_steps: 12,
  save_steps: 5,
  save_total_limit: 2,
  gradient_accumulation_steps: 2,
  neftune_noise_alpha: 5,
  eval_strategy: 'steps',
  eval_steps: 2,
  load_best_model_at_end: true,
};
const blocks = randomBlocks([14, 9, 20, 11, 16, 7, 13], 3, 2);
const validation = randomBlocks([12, 8, 17, 10, 15], 40, 2);

/** What a training leaves. */
interface Trace {
  readonly values: readonly Float32Array[];
  readonly evaluations: readonly Omit<EvaluationRecord, 'seconds'>[];
  readonly result: TrainResult | undefined;
}

function untimed({ seconds, ...rest }: EvaluationRecord): Omit<EvaluationRecord, 'seconds'> {
  assert.ok(seconds > 0);
  return rest;
}

const model = await tinyModel(await backend());

async function run(
  options: TrainOptions = {},
  overrides: Partial<TrainingArguments> = {},
  of: CausalLM = model,
): Promise<Trace> {
  const adapter = createLora(of, { ...LORA, lora_dropout: 0.2 }, { seed: 11 });
  const evaluations: Omit<EvaluationRecord, 'seconds'>[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const { signal, ...others } = options;
  try {
    const [outcome] = await trainTogether(
      of,
      [
        {
          ...{ trained: adapter, blocks, args: { ...args, ...overrides }, validation, checkpoints: folder },
          ...others,
          onEvaluate: (record) => {
            evaluations.push(untimed(record));
            others.onEvaluate?.(record);
          },
        },
      ],
      signal,
    );
    if (outcome!.status === 'failed') throw outcome!.error;
    const values = await Promise.all(adapter.parameters.map((p) => p.value.toFloat32()));
    return { values, evaluations, result: outcome!.result };
  } finally {
    adapter.dispose();
    rmSync(folder, { recursive: true });
  }
}

/** An `evaluate` that gives a series' figures one after the other, by the step that it is asked at. */
function scripted(figures: readonly number[], every = 2): Pick<TrainOptions, 'evaluate' | 'onStep'> {
  let step = 0;
  return {
    onStep: (record) => (step = record.step),
    evaluate: () => Promise.resolve({ accuracy: figures[Math.ceil(step / every) - 1]! }),
  };
}

const BY_ACCURACY = { metric_for_best_model: 'accuracy' };

test('evaluations change nothing of what is trained', async () => {
  const plain = await run({}, { eval_strategy: 'no', load_best_model_at_end: false });
  const evaluated = await run({}, { load_best_model_at_end: false });
  assert.deepEqual(evaluated.values, plain.values);
  assert.deepEqual(plain.evaluations, []);
  assert.deepEqual(
    evaluated.evaluations.map(({ step }) => step),
    [2, 4, 6, 8, 10, 12],
  );
});

test('the loss is that of the validation rows under what is trained so far, without dropout or noise', async () => {
  const { values, evaluations } = await run({}, { load_best_model_at_end: false });
  const adapter = createLora(model, LORA, { seed: 11 });
  for (const [i, { value }] of adapter.parameters.entries()) value.backend.upload(values[i]!, value);
  const batches = [validation.slice(0, 2), validation.slice(2, 4), validation.slice(4)].map(flatten);
  const losses = await Promise.all(batches.map((batch) => evaluateLoss(model, batch, 'f32', adapter)));
  const count = batches.reduce((n, { trainedTokens }) => n + trainedTokens, 0);
  const sum = losses.reduce((n, part) => part.reduce((a, b) => a + b, n), 0);
  assert.equal(evaluations.at(-1)!.loss, sum / count);
  adapter.dispose();
});

test('what is best is what stands at the end, and it stops when nothing better comes', async () => {
  const figures = [0.2, 0.5, 0.4, 0.5, 0.3, 0.9];
  const whole = await run(scripted(figures), { ...BY_ACCURACY, load_best_model_at_end: false });
  assert.equal(whole.result!.steps, 12);
  assert.deepEqual(whole.result!.best, { step: 12, figure: 0.9 });

  const short = await run({}, { eval_strategy: 'no', load_best_model_at_end: false, max_steps: 4 });
  const stopped = await run(scripted(figures), { ...BY_ACCURACY, early_stopping_patience: 3 });
  assert.equal(stopped.result!.steps, 10);
  assert.equal(stopped.result!.finished, true);
  assert.deepEqual(stopped.result!.best, { step: 4, figure: 0.5 });
  assert.deepEqual(
    stopped.evaluations.map(({ step, best, metrics }) => [step, best, metrics!['accuracy']]),
    [
      [2, true, 0.2],
      [4, true, 0.5],
      [6, false, 0.4],
      [8, false, 0.5],
      [10, false, 0.3],
    ],
  );
  // The rate is constant: four steps of twelve are four of four.
  assert.deepEqual(stopped.values, short.values);
});

test('with figures that are none what stands at the end stays', async () => {
  const none = await run(scripted(Array<number>(6).fill(Number.NaN)), BY_ACCURACY);
  assert.equal(none.result!.best, undefined);
  assert.deepEqual(
    none.values,
    (await run({}, { eval_strategy: 'no', load_best_model_at_end: false })).values,
  );
});

test('stopped at any step, or within an evaluation, and gone on with, it decides and ends the same', async () => {
  const figures = [0.2, 0.5, 0.4, 0.5, 0.3, 0.9];
  const overrides = { ...BY_ACCURACY, early_stopping_patience: 3 };
  const whole = await run(scripted(figures), overrides);
  for (const within of [false, true])
    for (const at of [1, 2, 3, 4, 5, 6, 8, 9, 10]) {
      if (within && at % 2 === 1) continue;
      const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
      const stop = new AbortController();
      const script = scripted(figures);
      const seen = new Map<number, unknown>();
      const onEvaluate = (record: EvaluationRecord): unknown => seen.set(record.step, untimed(record));
      const first = await run(
        {
          checkpoints: folder,
          signal: stop.signal,
          onEvaluate,
          onStep: (record) => {
            script.onStep!(record);
            if (!within && record.step === at) stop.abort();
          },
          evaluate: async (signal) => {
            const given = await script.evaluate!(signal);
            if (within && given['accuracy'] === figures[at / 2 - 1]) stop.abort();
            return given;
          },
        },
        overrides,
      );
      assert.equal(first.result!.finished, false);
      let step = first.result!.steps;
      const resumed = await run(
        {
          checkpoints: folder,
          onEvaluate,
          onStep: (record) => (step = record.step),
          evaluate: () => Promise.resolve({ accuracy: figures[step / 2 - 1]! }),
        },
        overrides,
      );
      assert.equal(resumed.result!.resumedFrom, first.result!.steps);
      assert.deepEqual(resumed.values, whole.values, `stopped at ${at}`);
      assert.deepEqual(resumed.result!.best, whole.result!.best);
      assert.deepEqual([...seen.values()], whole.evaluations);
      rmSync(folder, { recursive: true });
    }
});

test('of checkpoints the best stays, whatever the limit, and the newest while it goes on', async () => {
  for (const save_total_limit of [1, 2]) {
    const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
    const seen: string[][] = [];
    const onEvaluate = (): unknown => seen.push(readdirSync(folder).sort());
    const script = scripted([0.2, 0.5, 0.4, 0.5, 0.3, 0.4]);
    await run(
      { ...script, checkpoints: folder, onEvaluate },
      { ...BY_ACCURACY, save_steps: 1, save_total_limit },
    );
    const best = 'step-4.safetensors';
    assert.deepEqual(seen.at(-1), ['step-11.safetensors', best]);
    assert.deepEqual(readdirSync(folder), save_total_limit === 1 ? [best] : ['step-11.safetensors', best]);
    rmSync(folder, { recursive: true });
  }
});

test('a best checkpoint that is gone is told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const script = scripted([0.5, 0.4, 0.4, 0.4, 0.4, 0.4]);
  const onEvaluate = ({ step }: EvaluationRecord): void => {
    if (step === 12) rmSync(join(folder, 'step-2.safetensors'));
  };
  await assert.rejects(run({ ...script, checkpoints: folder, onEvaluate }, BY_ACCURACY), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /step-2\.safetensors, the best checkpoint, is gone/);
    return true;
  });
  rmSync(folder, { recursive: true });
});

test('adapters that are trained together stop each on its own, with the bits that each has alone', async () => {
  const series = [
    [0.5, 0.4, 0.4, 0.4, 0.4, 0.4],
    [0.1, 0.2, 0.3, 0.2, 0.2, 0.2],
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
  ];
  const overrides = series.map((_, i) => ({ ...BY_ACCURACY, seed: i, early_stopping_patience: 2 }));
  const alone: Trace[] = [];
  for (const [i, figures] of series.entries()) alone.push(await run(scripted(figures), overrides[i]));
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const adapters = series.map(() => createLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 11 }));
  const seen = series.map((): Omit<EvaluationRecord, 'seconds'>[] => []);
  const outcomes = await trainTogether(
    model,
    series.map((figures, i) => ({
      ...scripted(figures),
      ...{ trained: adapters[i]!, blocks, validation, args: { ...args, ...overrides[i] } },
      checkpoints: join(folder, String(i)),
      onEvaluate: (record) => seen[i]!.push(untimed(record)),
    })),
  );
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status === 'finished' && outcome.result.steps),
    [6, 10, 12],
  );
  for (const [i, adapter] of adapters.entries()) {
    const values = await Promise.all(adapter.parameters.map((p) => p.value.toFloat32()));
    assert.deepEqual(values, alone[i]!.values, `adapter ${i}`);
    assert.deepEqual(seen[i], alone[i]!.evaluations);
    adapter.dispose();
  }
  rmSync(folder, { recursive: true });
});

test('what was stopped together goes on together, each from its own step, and ends the same', async () => {
  const series = [
    [0.5, 0.4, 0.4, 0.4, 0.4, 0.4],
    [0.1, 0.2, 0.3, 0.2, 0.2, 0.2],
  ];
  const overrides = series.map((_, i) => ({ ...BY_ACCURACY, seed: i, early_stopping_patience: 2 }));
  const alone: Trace[] = [];
  for (const [i, figures] of series.entries()) alone.push(await run(scripted(figures), overrides[i]));
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const steps = series.map(() => 0);
  const go = async (stopAt: number): Promise<LoraAdapter[]> => {
    const stop = new AbortController();
    const adapters = series.map(() => createLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 11 }));
    await trainTogether(
      model,
      series.map((figures, i) => ({
        ...{ trained: adapters[i]!, blocks, validation, args: { ...args, ...overrides[i] } },
        checkpoints: join(folder, String(i)),
        onStep: ({ step }) => (steps[i] = step),
        evaluate: () => {
          if (i === 0 && steps[0] === stopAt) stop.abort();
          return Promise.resolve({ accuracy: figures[steps[i]! / 2 - 1]! });
        },
      })),
      stop.signal,
    );
    return adapters;
  };
  for (const adapter of await go(4)) adapter.dispose();
  // The first was stopped in its evaluation, the other with the pass of its step dropped.
  assert.deepEqual(
    series.map((_, i) => latestCheckpoint(join(folder, String(i)))?.match(/step-\d+/)?.[0]),
    ['step-4', 'step-3'],
  );
  for (const [i, adapter] of (await go(-1)).entries()) {
    const values = await Promise.all(adapter.parameters.map((p) => p.value.toFloat32()));
    assert.deepEqual(values, alone[i]!.values, `adapter ${i}`);
    adapter.dispose();
  }
  rmSync(folder, { recursive: true });
});

test('a model that is trained whole is kept at its best, too', async () => {
  const figures = [0.2, 0.5, 0.4, 0.4, 0.4, 0.4];
  const trained = async (
    more: Partial<TrainingArguments>,
    options: TrainOptions,
  ): Promise<Float32Array[]> => {
    const own = await tinyModel(await backend(), { seed: 5, trainable: true });
    const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
    await train(own, own.parameters, blocks, { ...args, ...more }, { ...options, checkpoints: folder });
    const values = await Promise.all(own.parameters.map((p) => p.value.toFloat32()));
    own.dispose();
    rmSync(folder, { recursive: true });
    return values;
  };
  const best = await trained(BY_ACCURACY, { ...scripted(figures), validation });
  const short = { eval_strategy: 'no', load_best_model_at_end: false, max_steps: 4 } as const;
  assert.deepEqual(best, await trained(short, {}));
});

test('what cannot be evaluated is refused before anything is trained', async () => {
  const adapter = attachLora(model, LORA, { seed: 1 });
  const tried = (more: Partial<TrainingArguments>, options: TrainOptions = {}): Promise<unknown> =>
    train(model, adapter.parameters, blocks, { ...args, ...more }, options);
  await assert.rejects(tried({}, { validation }), /load_best_model_at_end is true, wanted a folder/);
  await assert.rejects(
    tried({ load_best_model_at_end: false }),
    /eval_strategy is 'steps', wanted validation/,
  );
  await assert.rejects(
    tried({ load_best_model_at_end: false, ...BY_ACCURACY }, { validation }),
    /metric_for_best_model is 'accuracy', and an evaluation gives loss/,
  );
  adapter.dispose();
  assert.equal(existsSync('checkpoints'), false);
});

test('a training that others may end waits for them where it must, and no bit of either shows it', async () => {
  const alone = await run();
  const short = await run({}, { max_steps: 2 });
  for (const stops of [false, true]) {
    const slow = createLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 12 });
    const quick = createLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 11 });
    const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
    const told: string[] = [];
    let slowest = 0;
    const answers = new Map<number, (boolean | 'later')[]>();
    const common = { blocks, validation };
    try {
      const outcomes = await trainTogether(model, [
        {
          ...{
            ...common,
            trained: slow,
            args: { ...args, eval_steps: 6 },
            checkpoints: join(folder, 'slow'),
          },
          onEvaluate: ({ step }) => (slowest = step),
          onEnd: () => told.push('slow'),
        },
        {
          ...{ ...common, trained: quick, args, checkpoints: join(folder, 'quick') },
          outdone: (evaluation) => {
            const answer = evaluation > 1 ? false : slowest < 6 ? 'later' : stops;
            answers.set(evaluation, [...(answers.get(evaluation) ?? []), answer]);
            return answer;
          },
          onEvaluate: ({ step }) => assert.ok(step === 2 || slowest >= 6, `step ${step} before ${slowest}`),
          onEnd: () => told.push('quick'),
        },
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => outcome.status !== 'failed' && outcome.result.steps),
        [12, stops ? 2 : 12],
      );
      assert.deepEqual(told.sort(), ['quick', 'slow']);
      const [last, ...before] = answers.get(1)!.reverse();
      assert.equal(last, stops);
      assert.ok(before.length > 3 && before.every((answer) => answer === 'later'));
      const values = await Promise.all(quick.parameters.map((p) => p.value.toFloat32()));
      assert.deepEqual(values, stops ? short.values : alone.values);
    } finally {
      slow.dispose();
      quick.dispose();
      rmSync(folder, { recursive: true });
    }
  }
});

test('a training that waits is stopped and gone on with as any other', async () => {
  const alone = await run();
  const stop = new AbortController();
  const adapter = createLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 11 });
  const beside = createLora(model, LORA, { seed: 12 });
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const start = (signal: AbortSignal | undefined, waits: boolean) =>
    trainTogether(
      model,
      [
        {
          ...{
            trained: beside,
            blocks,
            args: { ...args, eval_strategy: 'no', load_best_model_at_end: false },
          },
          onStep: ({ step }) => {
            if (step === 5 && waits) stop.abort();
          },
        },
        {
          ...{ trained: adapter, blocks, validation, args, checkpoints: folder },
          outdone: (evaluation) => evaluation === 2 && waits && 'later',
        },
      ],
      signal,
    );
  try {
    const stopped = await start(stop.signal, true);
    assert.deepEqual(
      stopped.map(({ status }) => status),
      ['stopped', 'stopped'],
    );
    assert.ok(existsSync(join(folder, 'step-4.safetensors')));
    const [, ended] = await start(undefined, false);
    assert.ok(ended?.status === 'finished' && ended.result.resumedFrom === 4 && ended.result.steps === 12);
    assert.deepEqual(await Promise.all(adapter.parameters.map((p) => p.value.toFloat32())), alone.values);
  } finally {
    adapter.dispose();
    beside.dispose();
    rmSync(folder, { recursive: true });
  }
  // With nobody left to wait for it would wait for ever.
  await assert.rejects(run({ outdone: () => 'later' }), /trainings wait for each other/);
});
