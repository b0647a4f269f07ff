import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headLoss } from '../../src/ops/cross-entropy.js';
import { Tensor } from '../../src/tensor/tensor.js';
import type { CausalLM } from '../../src/models/model.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { flatten, type FlatBatch } from '../../src/train/batch.js';
import { crossEntropy, type Objective } from '../../src/train/objective.js';
import { AdamW } from '../../src/train/optimizer.js';
import { evaluateLoss, evaluatePass } from '../../src/train/step.js';
import { OptimizerStep, runPasses } from '../../src/train/stepper.js';
import { train, trainTogether, type StepRecord } from '../../src/train/trainer.js';
import { attachLora } from '../../src/adapters/lora.js';
import { ARGS, backend, LORA, randomBlocks, tinyModel } from '../support/tiny.js';

/** What a row counts, by its place. */
const weightOf = (_: unknown, i: number): number => (i % 3) / 2;

/** The cross-entropy with a weight for each row, which also says how many rows there were. */
const WEIGHTED: Objective = {
  name: 'weighted',
  count: ({ trainedTokens }) => trainedTokens,
  loss(g, { hidden, head, batch: { targets, trainedTokens }, dHidden, ...rows }) {
    const weights = g.from(Float32Array.from({ length: trainedTokens }, weightOf));
    const losses = headLoss(g, hidden, head, { ...rows, targets, weights }, dHidden);
    const ones = g.own(Tensor.empty(g.backend, [trainedTokens]));
    g.kernels.fill({ y: ones, n: trainedTokens, value: 1 });
    return { losses, scalars: { rows: ones } };
  },
};

/** The gradient of an objective against finite differences of `lossOf` a batch. */
async function checkGradient(
  objective: Objective,
  lossOf: (model: CausalLM, batch: FlatBatch) => Promise<number>,
): Promise<void> {
  const be = await backend('reference');
  const model = await tinyModel(be, { trainable: true });
  const batch = flatten(randomBlocks([9, 6], 5, 2));
  const optimizer = new AdamW(model.parameters, ARGS);
  const learner = { optimizer, objective, args: { seed: 1, neftune_noise_alpha: 0 } };
  const step = new OptimizerStep(learner, [batch], 0);
  await runPasses(model, [step], { bf16: false, gradient_checkpointing: false });
  const grads = await Promise.all(model.parameters.map((p) => p.grad!.toFloat32()));
  optimizer.dispose();
  for (const [t, p] of model.parameters.entries()) {
    const values = await p.value.toFloat32();
    const g = grads[t]!;
    const norm = Math.hypot(...g);
    const h = 2e-3 / Math.max(1, norm);
    const lossAt = async (sign: number): Promise<number> => {
      be.upload(
        values.map((x, i) => x + (sign * h * g[i]!) / norm),
        p.value,
      );
      return lossOf(model, batch);
    };
    const slope = ((await lossAt(1)) - (await lossAt(-1))) / (2 * h);
    be.upload(values, p.value);
    assert.ok(Math.abs(slope - norm) < 0.02 * norm + 1e-4, `${p.name}: slope ${slope}, gradient ${norm}`);
  }
  model.dispose();
}

test('rows count as an objective weighs them: the gradient agrees with finite differences', () =>
  checkGradient(WEIGHTED, async (model, batch) => {
    const losses = await evaluateLoss(model, batch);
    return losses.reduce((sum, loss, i) => sum + weightOf(0, i) * loss, 0) / losses.length;
  }));

test('smoothed targets have the gradient of their loss', () =>
  checkGradient(crossEntropy(0.2), async (model, batch) => {
    const options = { batch, objective: crossEntropy(0.2), pairs: new Map() };
    const { losses } = await evaluatePass(model, options, { bf16: false });
    return losses.reduce((a, b) => a + b, 0) / losses.length;
  }));

test('a training smooths its targets, in its evaluations, too', async () => {
  const model = await tinyModel(await backend());
  const blocks = randomBlocks([9, 6, 7, 8], 5, 2);
  const first = async (more: Partial<TrainingArguments>): Promise<readonly [number, number]> => {
    const adapter = attachLora(model, LORA, { seed: 3 });
    let [loss, evaluated] = [0, 0];
    await train(
      model,
      adapter.parameters,
      blocks,
      {
        ...ARGS,
        max_steps: 1,
        learning_rate: 0,
        per_device_train_batch_size: 4,
        eval_strategy: 'epoch',
        ...more,
      },
      {
        validation: blocks,
        onStep: (record) => (loss = record.loss),
        onEvaluate: (record) => (evaluated = record.loss),
      },
    );
    adapter.dispose();
    return [loss, evaluated];
  };
  const batch = flatten(blocks);
  const sum = async (objective: Objective): Promise<number> => {
    const { losses } = await evaluatePass(model, { batch, objective, pairs: new Map() }, { bf16: false });
    return losses.reduce((a, b) => a + b, 0) / batch.trainedTokens;
  };
  for (const [factor, figures] of [
    [0, await first({})],
    [0.3, await first({ label_smoothing_factor: 0.3 })],
  ] as const)
    for (const figure of figures) assert.ok(Math.abs(figure - (await sum(crossEntropy(factor)))) < 1e-5);
  const options = { objective: WEIGHTED };
  await assert.rejects(
    train(model, model.parameters, blocks, { ...ARGS, label_smoothing_factor: 0.1 }, options),
    /label_smoothing_factor is of cross-entropy/,
  );
  model.dispose();
});

test("a training learns by its objective, and its record has the objective's figures", async () => {
  const model = await tinyModel(await backend());
  const adapter = attachLora(model, LORA, { seed: 3 });
  const records: StepRecord[] = [];
  const blocks = randomBlocks([9, 6, 7, 8], 5, 2);
  const args = { ...ARGS, max_steps: 2 };
  await trainTogether(model, [
    { trained: adapter, blocks, args, objective: WEIGHTED, onStep: (record) => records.push(record) },
  ]);
  assert.deepEqual(
    records.map(({ scalars }) => scalars),
    [{ rows: 1 }, { rows: 1 }],
  );
  adapter.dispose();
  model.dispose();
});

test('of a mixture the record has each source’s mean, and what is learnt is the same', async () => {
  const be = await backend();
  const blocks = randomBlocks([9, 6, 7, 8], 3, 2);
  const marked = blocks.map((block, b) => ({
    ...block,
    // A block may hold texts of several sources.
    sources: block.ids.map((_, i) => (b === 0 ? 1 : i < 4 ? 0 : 1)),
  }));
  const run = async (of: typeof blocks): Promise<StepRecord[]> => {
    const model = await tinyModel(be);
    const adapter = attachLora(model, LORA, { seed: 1 });
    const records: StepRecord[] = [];
    const options = { sources: ['a.jsonl', 'b.jsonl'], onStep: (record: StepRecord) => records.push(record) };
    const args = { ...ARGS, per_device_train_batch_size: 2, gradient_accumulation_steps: 2, max_steps: 2 };
    await trainTogether(model, [{ ...options, trained: adapter, blocks: of, args }]);
    adapter.dispose();
    model.dispose();
    return records;
  };
  const [plain, told] = [await run(blocks), await run(marked)];
  const model = await tinyModel(be);
  const batch = flatten(marked);
  const losses = await evaluateLoss(model, batch);
  const mean = (source: number): number => {
    const own = losses.filter((_, i) => batch.sources![i] === source);
    return own.reduce((a, b) => a + b, 0) / own.length;
  };
  model.dispose();
  assert.deepEqual(Object.keys(told[0]!.losses!), ['a.jsonl', 'b.jsonl']);
  // A fresh adapter changes nothing yet.
  for (const [source, name] of ['a.jsonl', 'b.jsonl'].entries())
    assert.ok(Math.abs(told[0]!.losses![name]! - mean(source)) < 1e-4);
  for (const [i, record] of told.entries()) assert.equal(record.loss, plain[i]!.loss);
  assert.equal(plain[0]!.losses, undefined);
});
