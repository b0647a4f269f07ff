/** What training and generation do for a device that runs behind the host, over a CPU that says it does. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachLora } from '../../src/adapters/lora.js';
import type { Backend } from '../../src/backends/contract.js';
import type { GemmArgs } from '../../src/backends/kernels.js';
import { generate } from '../../src/generate/generate.js';
import { slice } from '../../src/tensor/tensor.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { train, type StepRecord } from '../../src/train/trainer.js';
import { ARGS, backend, LORA, randomBlocks, randomIds, tinyConfig, tinyModel } from '../support/tiny.js';

const blocks = randomBlocks([14, 9, 20, 11, 16, 7, 13, 8], 3, 2);
const args: TrainingArguments = { ...ARGS, max_steps: 6 };

/** The adapter's values after a training on `b`, and its steps; `during` is called within each report. */
async function trained(
  b: Backend,
  more: Partial<TrainingArguments> = {},
  during: (step: StepRecord, poison: () => void) => void = () => undefined,
): Promise<{ values: Float32Array[]; steps: StepRecord[] }> {
  const model = await tinyModel(b);
  const adapter = attachLora(model, { ...LORA, lora_dropout: 0.1 }, { seed: 11 });
  const steps: StepRecord[] = [];
  const poison = (): void => b.upload(Float32Array.of(NaN), slice(adapter.parameters[0]!.value, 0, 1));
  try {
    const onStep = (record: StepRecord): void => {
      steps.push(record);
      during(record, poison);
    };
    await train(model, adapter.parameters, blocks, { ...args, ...more }, { onStep });
    return { values: await Promise.all(adapter.parameters.map((p) => p.value.toFloat32())), steps };
  } finally {
    adapter.dispose();
    model.dispose();
  }
}

test('on a device that runs behind, losses come a step late and are the same', async () => {
  const cpu = await backend();
  const plain = await trained(cpu);
  let asked = 0;
  const behind = await trained({
    ...cpu,
    runsAhead: true,
    kernels: {
      ...cpu.kernels,
      clipCoefficient: (a) => {
        asked++;
        cpu.kernels.clipCoefficient(a);
      },
    },
  });
  assert.deepEqual(behind.values, plain.values);
  const figures = ({ step, loss, grad_norm }: StepRecord): number[] => [step, loss, grad_norm];
  assert.deepEqual(behind.steps.map(figures), plain.steps.map(figures));
  assert.equal(asked, 6);

  const order: string[] = [];
  await trained(
    {
      ...cpu,
      runsAhead: true,
      kernels: {
        ...cpu.kernels,
        clipCoefficient: (a) => {
          order.push('asked');
          cpu.kernels.clipCoefficient(a);
        },
      },
    },
    { max_steps: 3 },
    ({ step }) => order.push(`told ${step}`),
  );
  assert.deepEqual(order, ['asked', 'asked', 'told 1', 'asked', 'told 2', 'told 3']);
});

test('a loss that is not finite stops such a run as well, and names its step', async () => {
  const cpu = await backend();
  const run = trained({ ...cpu, runsAhead: true }, {}, ({ step }, poison) => {
    if (step === 2) poison();
  });
  // Step 3 was asked for before the poison of step 2's report.
  await assert.rejects(run, /^UserError: step 4: the loss is NaN/);
});

test('checkpointing does not compute a layer’s last product again: nobody reads it', async () => {
  const cpu = await backend();
  const products = async (gradient_checkpointing: boolean): Promise<{ last: number; inner: number }> => {
    const seen = { last: 0, inner: 0 };
    const { hidden_size: hidden, intermediate_size: wide } = tinyConfig() as Record<string, number>;
    const gemm = (g: GemmArgs): void => {
      const weight = g.transB && g.k !== LORA.r ? `${g.n} ${g.k}` : '';
      if (weight === `${hidden!} ${wide!}`) seen.last++;
      if (weight === `${wide!} ${hidden!}`) seen.inner++;
      cpu.kernels.gemm(g);
    };
    const counting = { ...cpu, kernels: { ...cpu.kernels, gemm } };
    await trained(counting, { max_steps: 1, gradient_checkpointing });
    return seen;
  };
  const kept = await products(false);
  const again = await products(true);
  assert.equal(again.last, kept.last);
  assert.equal(again.inner, 2 * kept.inner);
});

test('decoding records a step once for each of a few sizes, and replays it', async () => {
  const cpu = await backend();
  const prompts = Array.from({ length: 11 }, (_, index) => ({
    index,
    ids: Array.from(randomIds(3 + ((index * 5) % 9), index)),
  }));
  const answers = async (b: Backend, batch_size: number): Promise<(readonly number[])[]> => {
    const model = await tinyModel(b);
    const stopTokens = [7, 11, 30, 41, 52];
    const options = { do_sample: true, temperature: 1.5, top_p: 0.9, top_k: 20, seed: 4, stopTokens };
    const found: (readonly number[])[] = [];
    for await (const { index, tokens } of generate(model, prompts, {
      ...options,
      max_new_tokens: 30,
      batch_size,
    }))
      found[index] = tokens;
    model.dispose();
    return found;
  };
  const counting = (
    runsAhead: boolean,
  ): { b: Backend; seen: { recorded: number; run: number; disposed: number } } => {
    const seen = { recorded: 0, run: 0, disposed: 0 };
    const record: Backend['record'] = (body) => {
      seen.recorded++;
      return {
        run: () => {
          seen.run++;
          body();
        },
        dispose: () => {
          seen.disposed++;
        },
      };
    };
    return { b: { ...cpu, runsAhead, record }, seen };
  };
  const behind = counting(true);
  const found = await answers(behind.b, 11);
  // Eleven at first, then fewer and fewer: in steps of 11, 8, 6, 4, 3, 2 and 1 at most.
  const lengths = found.map((tokens) => tokens.length);
  assert.ok(new Set(lengths).size > 4, String(lengths));
  assert.equal(behind.seen.run, Math.max(...lengths) - 1);
  assert.ok(behind.seen.recorded <= 7 && behind.seen.recorded < behind.seen.run, JSON.stringify(behind.seen));
  assert.equal(behind.seen.disposed, behind.seen.recorded);
  // Whatever runs beside it, an answer and its draws are its own.
  assert.deepEqual(found, await answers(counting(false).b, 11));
  assert.deepEqual(found, await answers(cpu, 1));
});
