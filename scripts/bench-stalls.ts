/**
 * How long a program that trains and generates in its own process keeps its event loop from turning, and how soon an abort takes effect:
 * `node --import tsx scripts/bench-stalls.ts [--device cpu] [--model NAME|FOLDER] [--batch 4] [--length 512] [--load]`. Weights are random,
 * in NF4. A stall is the longest time between two turns of a timer of a millisecond, whatever else the machine did in it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { attachLora, createBackend, generate, loadModel, saveModel, train } from '../src/index.js';
import { randomModel } from '../src/models/load.js';
import { randomTexts, weightOptions } from '../src/experiments/bench/model.js';
import { benchArguments } from '../src/experiments/bench/training.js';
import { benchShape } from '../src/experiments/bench/shapes.js';
import type { TrainingArguments } from '../src/index.js';

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    model: { type: 'string', default: '6m' },
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '512' },
    /** Write a checkpoint and load it, too. */
    load: { type: 'boolean', default: false },
  },
});
const batch = Number(values.batch);
const length = Number(values.length);
const shape = benchShape(values.model);
const { backend } = await createBackend(values.device);
console.log(`${backend.description}; ${values.model}, ${batch} x ${length}`);

/** Runs `body` and prints what it took and the longest stall within. */
async function phase(name: string, body: () => Promise<unknown>): Promise<void> {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  // It counts from its first turn on.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const started = performance.now();
  await body();
  const seconds = (performance.now() - started) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 5));
  delays.disable();
  const stalls = [delays.max, delays.percentile(99)].map((ns) => (ns / 1e6).toFixed(0));
  console.log(
    `${name}: ${seconds.toFixed(2)} s, longest stall ${stalls[0]} ms, 99 of 100 below ${stalls[1]} ms`,
  );
}

/** Aborts `body` at different moments and prints how long after that it ended. */
async function aborts(name: string, body: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const late: number[] = [];
  for (const after of [5, 50, 150, 300, 700]) {
    const stop = new AbortController();
    let at = Infinity;
    const timer = setTimeout(() => {
      at = performance.now();
      stop.abort();
    }, after);
    const ended = await body(stop.signal).then(
      () => false,
      (error: unknown) => (error as Error).name === 'AbortError',
    );
    clearTimeout(timer);
    if (ended) late.push(performance.now() - at);
  }
  console.log(`${name}: aborts took effect after ${late.map((ms) => ms.toFixed(0)).join(', ')} ms`);
}

const args: TrainingArguments = {
  ...benchArguments({ batch }, { accumulation: 1, gradientCheckpointing: false, precision: 'bf16' }),
  max_steps: 4,
};
const greedy = { do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 0, stopTokens: [], bf16: true };

const model = await randomModel(backend, shape.config, weightOptions('nf4'));
const blocks = randomTexts(model, 8 * batch, { ...shape, length }, 0);
const prompts = blocks.map(({ ids, encoder }, index) => ({ index, ids: [...(encoder?.ids ?? ids)] }));
const adapter = attachLora(
  model,
  { r: 8, lora_alpha: 16, lora_dropout: 0, use_rslora: false, target_modules: 'all-linear' },
  { seed: 0 },
);
const training = (signal?: AbortSignal): Promise<unknown> =>
  train(model, adapter.parameters, blocks, args, { signal });
const generation = async (signal?: AbortSignal): Promise<void> => {
  const answers: number[][] = [];
  const options = { ...greedy, max_new_tokens: 16, batch_size: batch, signal };
  for await (const answer of generate(model, prompts.slice(0, 2 * batch), options))
    answers.push(answer.tokens);
};
for (const time of ['first', 'second']) {
  await phase(`training, ${time} time`, training);
  await phase(`generation, ${time} time`, generation);
}
await aborts('training', training);
await aborts('generation', generation);
adapter.dispose();
model.dispose();
if (values.load) {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-stalls-'));
  try {
    const whole = await randomModel(backend, shape.config, weightOptions('bf16'));
    await phase('saving', () => saveModel(whole, folder, { dtype: 'BF16' }));
    whole.dispose();
    await phase('loading', async () => (await loadModel(backend, folder, weightOptions('nf4'))).dispose());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
