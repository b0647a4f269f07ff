import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoraConfig } from '../../../src/adapters/config.js';
import { attachLora } from '../../../src/adapters/lora.js';
import type { Backend } from '../../../src/backends/contract.js';
import { createBackend, createPlanBackend } from '../../../src/backends/select.js';
import { fitTraining, roomBeside } from '../../../src/experiments/plan/fit.js';
import { planGeneration } from '../../../src/experiments/plan/generation.js';
import { planTraining, type TrainingJob } from '../../../src/experiments/plan/training.js';
import { generate } from '../../../src/generate/generate.js';
import { randomModel } from '../../../src/models/load.js';
import { AdamW } from '../../../src/train/optimizer.js';
import { flatten } from '../../../src/train/batch.js';
import { evaluateLoss, forwardBackward } from '../../../src/train/step.js';
import { ARGS, LORA, randomBlocks, randomIds, tinyConfig } from '../../support/tiny.js';

const config = tinyConfig({ hidden_size: 128, intermediate_size: 384, num_hidden_layers: 3 });
const nf4 = { quantization: { doubleQuant: true } } as const;

function job(lengths: readonly number[], more: Partial<TrainingJob['training']> = {}): TrainingJob {
  const training = { ...ARGS, per_device_train_batch_size: lengths.length, ...more };
  return { model: config, weights: nf4, lora: LORA, training, blocks: randomBlocks(lengths) };
}

const plan = async (j: TrainingJob, device: 'cpu' | 'cuda' = 'cpu'): Promise<number> =>
  (await planTraining(await createPlanBackend(device), j)).peak;

/** What a step really takes. */
async function measured(b: Backend, j: TrainingJob): Promise<number> {
  const model = await randomModel(b, j.model, j.weights);
  const adapter = attachLora(model, j.lora as LoraConfig, { seed: 1 });
  const optimizer = new AdamW(adapter.parameters, j.training);
  b.resetPeak();
  const batch = flatten(j.blocks);
  for (let pass = 0; pass < j.training.gradient_accumulation_steps; pass++)
    await (
      await forwardBackward(
        model,
        [{ batch, gradScale: 1 / batch.trainedTokens, ...j.training, pass }],
        j.training,
      )
    )[0]!.losses;
  await optimizer.update(1e-3);
  const { peak } = b.memory();
  optimizer.dispose();
  adapter.dispose();
  model.dispose();
  return peak;
}

test("a plan's peak is what a step takes, within 3 %", async () => {
  const { backend } = await createBackend('cpu');
  for (const j of [
    job([64, 64]),
    job([40, 64, 7], { gradient_checkpointing: true }),
    job([100], { gradient_accumulation_steps: 3 }),
    { ...job([64, 64, 64, 64]), lora: { ...LORA, r: 32, lora_dropout: 0.1 } },
  ]) {
    const [planned, real] = [await plan(j), await measured(backend, j)];
    assert.ok(Math.abs(planned / real - 1) < 0.03, `planned ${planned}, measured ${real}`);
  }
});

test('evaluations count: what they take beside what training holds, and their time, by their number', async () => {
  const { backend } = await createBackend('cpu');
  // Longer than what is trained on, so that an evaluation is the worst moment.
  const j = {
    ...job([10], { max_steps: 12, eval_strategy: 'steps', eval_steps: 5 }),
    validation: randomBlocks([120, 100, 128]),
  };
  const planned = await planTraining(await createPlanBackend('cpu'), j);
  assert.equal(planned.evaluations!.count, 3);
  assert.equal(planned.evaluations!.tokens, 3 * 348);
  assert.equal(planned.peak, planned.evaluations!.peak);
  const model = await randomModel(backend, j.model, j.weights);
  const adapter = attachLora(model, j.lora as LoraConfig, { seed: 1 });
  const optimizer = new AdamW(adapter.parameters, j.training);
  backend.resetPeak();
  for (const block of j.validation) await evaluateLoss(model, flatten([block]));
  const { peak } = backend.memory();
  for (const one of [optimizer, adapter, model]) one.dispose();
  assert.ok(Math.abs(planned.peak / peak - 1) < 0.03, `planned ${planned.peak}, measured ${peak}`);

  const more = { ...j, training: { ...j.training, eval_steps: 1 } };
  const often = await planTraining(await createPlanBackend('cpu'), more);
  assert.equal(often.evaluations!.work.operations, 4 * planned.evaluations!.work.operations);
  assert.deepEqual(often.work, planned.work);
  const answers = {
    weights: 7,
    peak: 7 + 2 ** 30,
    cache: 5,
    activations: 2,
    tokens: 9,
    work: { operations: 3, bytes: 4 },
  };
  const asked = await planTraining(await createPlanBackend('cpu'), { ...j, answers });
  const held = planned.weights + planned.adapter + planned.optimizer;
  assert.ok(asked.peak >= held + 2 ** 30 && asked.peak < 1.03 * (held + 2 ** 30));
  assert.equal(asked.evaluations!.work.bytes, planned.evaluations!.work.bytes + 3 * 4);
});

test('more rows and longer ones take more; checkpointing takes less', async () => {
  for (const device of ['cpu', 'cuda'] as const) {
    const peak = (lengths: number[], more = {}): Promise<number> => plan(job(lengths, more), device);
    const once = await peak([100, 100]);
    assert.ok((await peak([100, 100, 100, 100])) > once);
    assert.ok((await peak([128, 128])) > once);
    assert.ok((await peak([100, 100], { gradient_checkpointing: true })) < once);
  }
});

test('what is left to the memory is settled by it: checkpointing, then the optimizer in main memory', async () => {
  const settings = { ...ARGS, save_steps: 0, gradient_checkpointing: 'auto', optim: 'auto' } as const;
  const target = { name: 'cuda', activations: 'bf16' } as const;
  // Long enough for activations to outweigh the rest, with an adapter that is not small.
  const parts = { ...job([128, 128, 128, 128]), lora: { ...LORA, r: 16 } };
  const fit = (room: number): ReturnType<typeof fitTraining> =>
    fitTraining(target, { ...parts, training: { ...parts.training, ...settings } as never }, room);
  const ample = await fit(2 ** 40);
  assert.deepEqual(
    [ample.fits, ample.training.gradient_checkpointing, ample.training.paged],
    [true, false, false],
  );
  assert.equal(ample.unpackedBytes, roomBeside(ample.plan.peak, target, 2 ** 40));
  const tighter = await fit(ample.plan.peak);
  assert.notDeepEqual(tighter.training, ample.training);
  assert.ok(tighter.fits && tighter.plan.peak < ample.plan.peak);
  const hopeless = await fit(1000);
  assert.deepEqual([hopeless.fits, hopeless.unpackedBytes], [false, 0]);
  assert.equal(hopeless.training.paged, true);
  assert.equal(roomBeside(10, { activations: 'f32' }, 1000), 0);
});

test("a generation's plan is what it takes, within 3 %", async () => {
  const { backend } = await createBackend('cpu');
  const prompts = [40, 64, 33].map((length, index) => ({ index, ids: Array.from(randomIds(length, index)) }));
  const planned = await planGeneration(await createPlanBackend('cpu'), {
    ...{ model: config, weights: nf4, bf16: false, batch_size: 3, max_new_tokens: 20, prompts },
  });
  const model = await randomModel(backend, config, nf4);
  backend.resetPeak();
  const greedy = { do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 0 };
  const answers = generate(model, prompts, { ...greedy, batch_size: 3, max_new_tokens: 20, stopTokens: [] });
  let tokens = 0;
  for await (const answer of answers) tokens += answer.tokens.length;
  const { peak } = backend.memory();
  model.dispose();
  assert.equal(tokens, 60);
  assert.equal(planned.tokens, 60);
  assert.ok(Math.abs(planned.peak / peak - 1) < 0.03, `planned ${planned.peak}, measured ${peak}`);
});
