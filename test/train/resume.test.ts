import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { attachLora } from '../../src/adapters/lora.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { train, type StepRecord, type TrainOptions } from '../../src/train/trainer.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import { slice } from '../../src/tensor/tensor.js';
import { UserError } from '../../src/util/errors.js';
import { spoil } from '../support/spoil.js';
import { ARGS, backend, LORA, randomBlocks, tinyModel } from '../support/tiny.js';

const args: TrainingArguments = {
  ...ARGS,
  max_steps: 12,
  save_steps: 3,
  save_total_limit: 2,
  gradient_accumulation_steps: 2,
};
const blocks = randomBlocks([14, 9, 20, 11, 16, 7, 13], 3, 2);

async function run(
  options: TrainOptions,
  overrides: Partial<TrainingArguments> = {},
): Promise<{ values: Float32Array[]; steps: StepRecord[] }> {
  const model = await tinyModel(await backend());
  const adapter = attachLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 11 });
  const steps: StepRecord[] = [];
  const onStep = (record: StepRecord): void => {
    steps.push(record);
    options.onStep?.(record);
  };
  try {
    await train(model, adapter.parameters, blocks, { ...args, ...overrides }, { ...options, onStep });
    return { values: await Promise.all(adapter.parameters.map((p) => p.value.toFloat32())), steps };
  } finally {
    adapter.dispose();
    model.dispose();
  }
}

test('a run stopped after any step and resumed ends in the same bits as one that was not', async () => {
  for (const [stopAfter, overrides] of [
    [1, {}],
    [4, {}],
    [11, {}],
    [5, { group_by_length: true }],
  ] as const) {
    const whole = await run({}, overrides);
    const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
    const stop = new AbortController();
    await assert.rejects(
      run(
        {
          checkpoints: folder,
          signal: stop.signal,
          onStep: (r) => r.step === stopAfter && stop.abort(),
        },
        overrides,
      ),
      { name: 'AbortError' },
    );
    const resumed = await run({ checkpoints: folder }, overrides);
    assert.equal(resumed.steps[0]?.step, stopAfter + 1);
    assert.deepEqual(resumed.values, whole.values);
    rmSync(folder, { recursive: true });
  }
});

test('an abort within any pass drops its step, and the model is as the step before left it', async () => {
  const real = await backend();
  for (const abortAt of [1, 40, 300, 700]) {
    // Aborted while a pass is asked for: what comes behind is left out, or done for nothing.
    const stop = new AbortController();
    let asked = 0;
    const kernels = Object.fromEntries(
      Object.entries(real.kernels).map(([name, kernel]) => [
        name,
        (args: never) => {
          if (++asked === abortAt) stop.abort();
          (kernel as (args: never) => void)(args);
        },
      ]),
    ) as unknown as typeof real.kernels;
    const model = await tinyModel({ ...real, kernels });
    const adapter = attachLora(model, { ...LORA, lora_dropout: 0.2 }, { seed: 11 });
    // Tables are made at the first pass.
    await evaluateLoss(model, flatten(blocks));
    const { held } = model.backend.memory();
    const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
    const values = (): Promise<Float32Array[]> =>
      Promise.all(adapter.parameters.map((p) => p.value.toFloat32()));
    const start = await values();
    asked = 0;
    let steps = 0;
    const training = train(model, adapter.parameters, blocks, args, {
      checkpoints: folder,
      signal: stop.signal,
      onStep: ({ step }) => (steps = step),
    });
    await assert.rejects(training, { name: 'AbortError' });
    assert.equal(model.backend.memory().held, held);
    const wanted =
      steps === 0 ? start : (await run({}, { max_steps: steps, lr_scheduler_type: 'constant' })).values;
    assert.deepEqual(await values(), wanted);
    assert.equal(readdirSync(folder).sort().at(-1), steps === 0 ? undefined : `step-${steps}.safetensors`);
    adapter.dispose();
    model.dispose();
    rmSync(folder, { recursive: true });
  }
});

test('the checkpoint of another training is refused by name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const stop = new AbortController();
  await assert.rejects(run({ checkpoints: folder, signal: stop.signal, onStep: () => stop.abort() }), {
    name: 'AbortError',
  });
  await assert.rejects(run({ checkpoints: folder }, { seed: 99 }), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /step-1\.safetensors is of another training/);
    return true;
  });
  rmSync(folder, { recursive: true });
});

test('a value of a checkpoint that is not finite is named, of the adapter and of the optimizer, and nothing is trained', async () => {
  const whole = mkdtempSync(join(tmpdir(), 'westwind-'));
  await run({ checkpoints: whole }, { max_steps: 4, save_total_limit: 1 });
  const tensors = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.nat(),
      fc.constantFrom(NaN, Infinity, -Infinity),
      fc.constantFrom('optimizer.', 'model.'),
      async (which, place, value, part) => {
        const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
        cpSync(whole, folder, { recursive: true });
        const path = join(folder, readdirSync(folder)[0]!);
        const tensor = spoil(path, which, place, value, (name) => name.startsWith(part));
        tensors.add(tensor);
        let steps = 0;
        const resuming = run(
          { checkpoints: folder, onStep: () => steps++ },
          { max_steps: 4, save_total_limit: 1 },
        );
        await assert.rejects(resuming, (error: unknown) => {
          assert.ok(error instanceof UserError, String(error));
          assert.ok(error.message.startsWith(path) && error.message.includes(`'${tensor}'`), error.message);
          return true;
        });
        assert.equal(steps, 0);
        rmSync(folder, { recursive: true });
      },
    ),
    { numRuns: 16 },
  );
  assert.ok(['optimizer.m', 'optimizer.v'].some((name) => tensors.has(name)));
  rmSync(whole, { recursive: true });
});

test('only the newest checkpoints are kept', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  await run({ checkpoints: folder });
  assert.deepEqual(readdirSync(folder).sort(), ['step-6.safetensors', 'step-9.safetensors']);
  rmSync(folder, { recursive: true });
});

test('the loss falls', async () => {
  const { steps } = await run({}, { max_steps: 40 });
  assert.ok(steps.at(-1)!.loss < 0.9 * steps[0]!.loss);
});

test('a loss that is not finite stops the run and names step, rows and checkpoint', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const model = await tinyModel(await backend());
  const adapter = attachLora(model, LORA, { seed: 11 });
  const poison = adapter.parameters[0]!.value;
  const options: TrainOptions = {
    checkpoints: folder,
    describeRow: (row) => `row ${row}`,
    onStep: ({ step }) =>
      step === 4 && model.backend.upload(new Float32Array([Number.NaN]), slice(poison, 0, 1)),
  };
  await assert.rejects(train(model, adapter.parameters, blocks, args, options), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^step 5: the loss is NaN.*row \d.*step-3\.safetensors/);
    return true;
  });
  adapter.dispose();
  model.dispose();
  rmSync(folder, { recursive: true });
});
