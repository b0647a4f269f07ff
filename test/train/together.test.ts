/** Adapters that are trained together get, to the bit, what each gets alone. */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LoraConfig } from '../../src/adapters/config.js';
import { attachLora, createLora, type LoraAdapter } from '../../src/adapters/lora.js';
import type { Backend } from '../../src/backends/contract.js';
import { packIsolated, type Block } from '../../src/data/index.js';
import type { CausalLM } from '../../src/models/model.js';
import type { WeightOptions } from '../../src/models/weights.js';
import { slice } from '../../src/tensor/tensor.js';
import { latestCheckpoint } from '../../src/train/checkpoint.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { train, trainTogether, type Outcome, type StepRecord } from '../../src/train/trainer.js';
import { UserError } from '../../src/util/errors.js';
import { BACKENDS } from '../support/backends.js';
import { ARGS, backend, LORA, randomBlocks, randomIds, tinyConfig, tinyModel } from '../support/tiny.js';

interface Setup {
  readonly lora: LoraConfig;
  readonly args: TrainingArguments;
  readonly blocks: readonly Block[];
}

const args = (more: Partial<TrainingArguments>): TrainingArguments => ({
  ...ARGS,
  max_steps: 3,
  save_steps: 1,
  ...more,
});

/** Texts of odd lengths, several to a block. */
const packed = packIsolated(
  [7, 19, 4, 11, 23, 9, 15, 30].map((length, row) => {
    const ids = randomIds(length, 50 + row);
    return { ids, labels: ids.map((id, i) => (i < 2 ? -100 : id)), row };
  }),
  { length: 40 },
);

/** They differ in whatever trainings together may differ in. */
const setups: readonly Setup[] = [
  {
    lora: { ...LORA, lora_dropout: 0.2 },
    args: args({ gradient_accumulation_steps: 2, weight_decay: 0.1 }),
    blocks: randomBlocks([14, 9, 20, 11, 16], 3, 2),
  },
  {
    lora: { ...LORA, r: 7, use_rslora: true, target_modules: ['q_proj', 'v_proj'] },
    args: args({ max_steps: 5, seed: 8, neftune_noise_alpha: 5, lr_scheduler_type: 'cosine' }),
    blocks: packed,
  },
  {
    lora: { ...LORA, r: 16, lora_alpha: 4, lora_dropout: 0.5, target_modules: '.*' },
    args: args({ max_steps: 2, per_device_train_batch_size: 3, neftune_noise_alpha: 1, seed: 9 }),
    blocks: randomBlocks([31, 5, 8], 4),
  },
  {
    lora: { ...LORA, target_modules: ['down_proj', 'lm_head'] },
    args: args({ max_grad_norm: 0, learning_rate: 1e-3, adam_beta2: 0.99, per_device_train_batch_size: 1 }),
    blocks: randomBlocks([33, 12, 13, 14], 5, 4),
  },
];

/** What a training leaves: its adapter, each step's figures, its newest checkpoint. */
interface Trace {
  readonly outcome: Outcome;
  readonly adapter: readonly Buffer[];
  readonly figures: readonly (readonly [step: number, loss: number, norm: number, rate: number])[];
  readonly checkpoint: Buffer | undefined;
}

interface TogetherOptions {
  /** By setup, kept from call to call. */
  readonly folders?: ReadonlyMap<Setup, string>;
  readonly gradient_checkpointing?: boolean;
  readonly signal?: AbortSignal;
  readonly onStep?: (setup: Setup, step: number, adapter: LoraAdapter) => void;
}

async function together(
  model: CausalLM,
  group: readonly Setup[],
  { folders, gradient_checkpointing = false, signal, onStep }: TogetherOptions = {},
): Promise<Map<Setup, Trace>> {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const adapters = group.map(({ lora, args }) => createLora(model, lora, { seed: args.seed }));
  const figures = group.map((): [number, number, number, number][] => []);
  const places = group.map((setup, i) => folders?.get(setup) ?? join(folder, String(i)));
  try {
    const outcomes = await trainTogether(
      model,
      group.map((setup, i) => ({
        trained: adapters[i]!,
        blocks: setup.blocks,
        args: { ...setup.args, gradient_checkpointing },
        checkpoints: places[i]!,
        onStep: ({ step, loss, grad_norm, learning_rate }) => {
          figures[i]!.push([step, loss, grad_norm, learning_rate]);
          onStep?.(setup, step, adapters[i]!);
        },
      })),
      signal,
    );
    const traces = new Map<Setup, Trace>();
    for (const [i, setup] of group.entries()) {
      const newest = existsSync(places[i]!) ? latestCheckpoint(places[i]!) : undefined;
      traces.set(setup, {
        outcome: outcomes[i]!,
        adapter: await bytesOf(adapters[i]!),
        figures: figures[i]!,
        checkpoint: newest === undefined ? undefined : readFileSync(newest),
      });
    }
    return traces;
  } finally {
    for (const adapter of adapters) adapter.dispose();
    rmSync(folder, { recursive: true });
  }
}

function bytesOf({ parameters }: LoraAdapter): Promise<Buffer[]> {
  return Promise.all(parameters.map(async ({ value }) => Buffer.from((await value.toFloat32()).buffer)));
}

async function alone(
  model: CausalLM,
  group: readonly Setup[],
  options: TogetherOptions = {},
): Promise<Map<Setup, Trace>> {
  const all = new Map<Setup, Trace>();
  for (const setup of group) all.set(setup, (await together(model, [setup], options)).get(setup)!);
  return all;
}

function same(got: ReadonlyMap<Setup, Trace>, wanted: ReadonlyMap<Setup, Trace>): void {
  for (const [setup, { adapter, figures, checkpoint }] of got) {
    const other = wanted.get(setup)!;
    assert.deepEqual(figures, other.figures);
    adapter.forEach((bytes, p) => assert.ok(bytes.equals(other.adapter[p]!), `parameter ${p}`));
    assert.ok(checkpoint && other.checkpoint?.equals(checkpoint), 'checkpoints differ');
  }
}

const weights: Readonly<Record<string, WeightOptions>> = {
  f32: {},
  NF4: { quantization: { doubleQuant: true } },
};

for (const [device, bf16] of ['reference', ...BACKENDS].flatMap((name) => [
  [name, false] as const,
  [name, true] as const,
]))
  for (const [format, options] of Object.entries(weights))
    test(`${device}, ${format}${bf16 ? ', bf16' : ''}: adapters, losses, norms and checkpoints are those of lone runs`, async () => {
      // The reference is slow: what it shares with the processor's kernels is tried there.
      const slow = device === 'reference';
      const all = setups.map((setup) => ({ ...setup, args: { ...setup.args, bf16 } }));
      // Two next to each other with as many rows.
      const [, second] = all;
      const group = slow
        ? all.slice(0, 3)
        : [second!, { ...second!, lora: { ...second!.lora, r: 16 } }, ...all.filter((s) => s !== second)];
      const model = await tinyModel(
        await backend(device),
        options,
        tinyConfig(slow ? { num_hidden_layers: 1 } : { model_type: 'qwen2' }),
      );
      const lone = await alone(model, group);
      for (const { outcome } of lone.values()) assert.equal(outcome.status, 'finished');
      for (const gradient_checkpointing of slow ? [true] : [false, true])
        same(await together(model, group, { gradient_checkpointing }), lone);
      same(await together(model, [...group].reverse()), lone);
      model.dispose();
    });

test('a training by itself is that of the adapter that is attached', async () => {
  const model = await tinyModel(await backend());
  for (const setup of setups) {
    const adapter = attachLora(model, setup.lora, { seed: setup.args.seed });
    await train(model, adapter.parameters, setup.blocks, setup.args);
    const values = await bytesOf(adapter);
    adapter.dispose();
    const lone = (await alone(model, [setup])).get(setup)!;
    values.forEach((bytes, p) => assert.ok(bytes.equals(lone.adapter[p]!)));
  }
  model.dispose();
});

test('what was begun alone goes on together from different steps, and what was begun together alone', async () => {
  const model = await tinyModel(await backend());
  const long = setups.map((setup, i) => ({ ...setup, args: { ...setup.args, max_steps: 7 + i } }));
  const whole = await alone(model, long);
  const temporary = mkdtempSync(join(tmpdir(), 'westwind-'));
  const folders = new Map(long.map((setup, i) => [setup, join(temporary, String(i))]));
  const stopAt = async (
    group: readonly Setup[],
    step: number,
    gradient_checkpointing: boolean,
  ): Promise<void> => {
    const stop = new AbortController();
    const onStep = (setup: Setup, at: number): void => {
      if (setup === group[0] && at === step) stop.abort();
    };
    const options = { folders, signal: stop.signal, onStep, gradient_checkpointing };
    for (const { outcome } of (await together(model, group, options)).values())
      assert.equal(outcome.status, 'stopped');
  };
  await stopAt([long[0]!], 1, false);
  await stopAt([long[1]!], 3, true);
  await stopAt([long[2]!], 2, false);
  // The fourth begins anew.
  await stopAt(long, 3, true);
  const first = await alone(model, long.slice(0, 2), { folders });
  const rest = await together(model, long.slice(2), { folders });
  for (const [setup, { outcome, adapter, checkpoint, figures }] of [...first, ...rest]) {
    assert.ok(outcome.status === 'finished' && outcome.result.resumedFrom > 0);
    const wanted = whole.get(setup)!;
    adapter.forEach((bytes, p) => assert.ok(bytes.equals(wanted.adapter[p]!)));
    assert.ok(checkpoint?.equals(wanted.checkpoint!));
    assert.deepEqual(figures, wanted.figures.slice(outcome.result.resumedFrom));
  }
  rmSync(temporary, { recursive: true });
  model.dispose();
});

test('one that fails leaves with its error, and no bit of the others is touched', async () => {
  const model = await tinyModel(await backend());
  const lone = await alone(model, setups);
  for (const failing of setups.slice(0, 3)) {
    const poison = (setup: Setup, step: number, adapter: LoraAdapter): void => {
      if (setup !== failing || step !== 1) return;
      // A of the layers' first module: from there the NaN is in all of its rows.
      model.backend.upload(Float32Array.of(NaN), slice(adapter.parameters[0]!.value, 0, 1));
    };
    const got = await together(model, setups, { onStep: poison });
    const { outcome } = got.get(failing)!;
    assert.ok(outcome.status === 'failed' && outcome.error instanceof UserError);
    assert.match(outcome.error.message, /^step 2: the loss is NaN/);
    got.delete(failing);
    same(got, lone);
  }
  model.dispose();
});

test('what a user can mend of one is its own: no rows, foreign tokens, a foreign checkpoint', async () => {
  const model = await tinyModel(await backend());
  const [good, other] = setups as [Setup, Setup];
  const [block] = good.blocks as [Block];
  const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
  const stop = new AbortController();
  const folders = new Map<Setup, string>([[other, folder]]);
  await together(model, [other], { folders, signal: stop.signal, onStep: () => stop.abort() });
  const foreign = { ...other, args: { ...other.args, learning_rate: 1 } };
  const faulty: (readonly [Setup, RegExp])[] = [
    [{ ...good, blocks: [] }, /nothing to train on/],
    [{ ...good, blocks: [{ ...block, ids: block.ids.map(() => 1e6) }] }, /token 1000000/],
    [foreign, /is of another training/],
  ];
  folders.set(foreign, folder);
  const got = await together(model, [good, ...faulty.map(([setup]) => setup)], { folders });
  for (const [setup, message] of faulty) {
    const { outcome } = got.get(setup)!;
    assert.ok(outcome.status === 'failed');
    assert.match(outcome.error.message, message);
  }
  same(new Map([[good, got.get(good)!]]), await alone(model, [good]));
  rmSync(folder, { recursive: true });
  model.dispose();
});

test('the seconds of all that are trained together are part of the time that went by, and no moment counts twice', async () => {
  const model = await tinyModel(await backend());
  const adapters = setups.map(({ lora, args }) => createLora(model, lora, { seed: args.seed }));
  let seconds = 0;
  const trainings = setups.map(({ blocks, args }, i) => ({
    ...{ trained: adapters[i]!, blocks, args },
    onStep: (record: StepRecord) => {
      assert.ok(record.seconds > 0);
      seconds += record.seconds;
    },
  }));
  const started = performance.now();
  await trainTogether(model, trainings);
  const wall = (performance.now() - started) / 1000;
  assert.ok(seconds <= wall, `${seconds} of ${wall}`);
  for (const adapter of adapters) adapter.dispose();
  model.dispose();
});

test('together they leave no memory behind, however they end', async () => {
  const be = await backend();
  const model = await tinyModel(be, { quantization: { doubleQuant: true } });
  const run = (onStep?: TogetherOptions['onStep'], signal?: AbortSignal): Promise<unknown> =>
    together(model, setups, { ...(onStep && { onStep }), ...(signal && { signal }) });
  await run();
  const before = be.memory().held;
  await run();
  const stop = new AbortController();
  await run(() => stop.abort(), stop.signal);
  await run((setup, _, { parameters }) => {
    if (setup === setups[1]) be.upload(Float32Array.of(NaN), slice(parameters[0]!.value, 0, 1));
  });
  const broken = run(() => {
    throw new Error('a fault of the caller');
  });
  await assert.rejects(broken, /a fault of the caller/);
  assert.equal(be.memory().held, before);
  model.dispose();
});

test('the base’s products are computed once for all', async () => {
  const cpu = await backend();
  const count = async (group: readonly Setup[]): Promise<number> => {
    let products = 0;
    const counting: Backend = {
      ...cpu,
      kernels: {
        ...cpu.kernels,
        gemm: (g) => {
          if (g.b.kind === 'nf4') products++;
          cpu.kernels.gemm(g);
        },
      },
    };
    const model = await tinyModel(counting, { quantization: { doubleQuant: true } });
    await together(model, group);
    model.dispose();
    return products;
  };
  const one = { ...setups[0]!, lora: { ...LORA, target_modules: 'all-linear' } };
  assert.equal(await count([one, { ...one, blocks: randomBlocks([8, 9]) }]), await count([one]));
});
