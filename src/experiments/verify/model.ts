/**
 * A golden model folder (config.json, model.safetensors, golden.json, golden.safetensors, adapter-init, adapter-lora, adapter-qlora)
 * against what the reference implementations computed: logits, loss, greedy tokens, adapter logits, and ten training steps each of
 * LoRA, QLoRA and full fine-tuning.
 */

import { join } from 'node:path';
import { z } from 'zod';
import { loadAdapter } from '../../adapters/peft.js';
import { Pass } from '../../ops/pass.js';
import type { Backend } from '../../backends/contract.js';
import { IGNORE_INDEX, type Block } from '../../data/index.js';
import { SafetensorsFile } from '../../files/index.js';
import { generate } from '../../generate/generate.js';
import { decoderStart, readModelJson } from '../../models/config.js';
import { loadModel } from '../../models/load.js';
import { forward, type CausalLM } from '../../models/model.js';
import type { WeightOptions } from '../../models/weights.js';
import { linear } from '../../ops/linear.js';
import { flatten, modelInput } from '../../train/batch.js';
import { evaluateLoss } from '../../train/step.js';
import type { TrainingArguments } from '../../train/arguments.js';
import { train, type StepRecord } from '../../train/trainer.js';
import { UserError } from '../../util/errors.js';
import { readChecked } from '../../util/json.js';
import { check, maxAbs, maxDifference, mismatch, type Check } from './check.js';

type Precision = 'f32' | 'bf16';

/** The columns of the golden data's README; in bfloat16 an unequal nibble is lost in the rounding. */
const TOLERANCE = {
  f32: {
    logits: 2e-5,
    loss: 1e-5,
    lora: { losses: 1e-4, gradNorms: 1e-3, adapter: 2e-3 },
    qlora: { losses: 2e-3, gradNorms: 1e-2, adapter: 3e-2 },
    full: 1e-4,
  },
  bf16: {
    logits: 4e-2,
    loss: 5e-3,
    lora: { losses: 1e-2, gradNorms: 3e-2, adapter: 1e-1 },
    qlora: { losses: 1e-2, gradNorms: 3e-2, adapter: 1e-1 },
    full: 1e-2,
  },
} as const;

const trajectory = z.object({
  lr: z.number().optional(),
  losses: z.array(z.number()),
  grad_norms: z.array(z.number()),
});
const goldenSchema = z.object({
  lr: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  weight_decay: z.number(),
  max_grad_norm: z.number(),
  steps: z.int(),
  generate: z.array(z.object({ prompt: z.array(z.int()), output: z.array(z.int()) })),
  lora: trajectory,
  /** What was left as it is. The first golden folders, which say nothing, took lm_head for the name of every head. */
  qlora_skip_modules: z.array(z.string()).default(['lm_head']),
  qlora_nf4_double_quant: trajectory,
  full: trajectory,
});
type Golden = z.infer<typeof goldenSchema>;

interface Expected {
  readonly golden: Golden;
  readonly blocks: Block[];
  readonly logits: readonly Float32Array[];
  readonly adapterLogits: readonly Float32Array[];
  readonly loss: number;
}

/** In float32, and where the backend keeps activations in bfloat16 too, once more in that. */
export async function* verifyModel(backend: Backend, folder: string, subject: string): AsyncGenerator<Check> {
  const expected = readExpected(folder);
  yield* verifyPrecision(backend, folder, subject, expected, 'f32');
  if (backend.activations === 'bf16') {
    yield* verifyPrecision(backend, folder, `${subject} bf16`, expected, 'bf16');
  }
}

async function* verifyPrecision(
  backend: Backend,
  folder: string,
  subject: string,
  expected: Expected,
  precision: Precision,
): AsyncGenerator<Check> {
  const { golden } = expected;
  // Training in bfloat16 keeps the frozen weights so, too.
  const dtype = precision;
  yield* await withModel(backend, folder, { dtype }, (model) =>
    verifyForward(model, folder, subject, expected, precision),
  );
  for (const kind of ['lora', 'qlora'] as const) {
    const quantization = { doubleQuant: true, skipModules: golden.qlora_skip_modules };
    const options = { dtype, ...(kind === 'qlora' && { quantization }) };
    yield* await withModel(backend, folder, options, async (model) => {
      const adapter = loadAdapter(model, join(folder, 'adapter-init'));
      try {
        const steps = await trainTenSteps(model, adapter.parameters, expected, golden.lr, precision);
        const names = adapter.parameters.map((p) => `base_model.model.${p.name}`);
        const values = await Promise.all(adapter.parameters.map((p) => p.value.toFloat32()));
        const start = readTensors(join(folder, 'adapter-init', 'adapter_model.safetensors'), names);
        const end = readTensors(join(folder, `adapter-${kind}`, 'adapter_model.safetensors'), names);
        const t = TOLERANCE[precision][kind];
        const wanted = kind === 'qlora' ? golden.qlora_nf4_double_quant : golden.lora;
        return [
          lossesCheck(subject, `${kind}: losses of 10 steps`, steps, wanted.losses, t.losses),
          normsCheck(subject, `${kind}: gradient norms`, steps, wanted.grad_norms, t.gradNorms),
          check(subject, `${kind}: adapter after 10 steps`, change(values, end, start), t.adapter),
        ];
      } finally {
        adapter.dispose();
      }
    });
  }
  yield* await withModel(backend, folder, { trainable: true }, async (model) => {
    const rate = golden.full.lr ?? golden.lr;
    const steps = await trainTenSteps(model, model.parameters, expected, rate, precision);
    const t = TOLERANCE[precision].full;
    return [lossesCheck(subject, 'full: losses of 10 steps', steps, golden.full.losses, t)];
  });
}

async function verifyForward(
  model: CausalLM,
  folder: string,
  subject: string,
  expected: Expected,
  precision: Precision,
): Promise<Check[]> {
  const { blocks, golden } = expected;
  const t = TOLERANCE[precision];
  const logits = (wanted: readonly Float32Array[]): Promise<number> =>
    logitsError(model, blocks, wanted, precision);
  const checks = [check(subject, 'logits', await logits(expected.logits), t.logits)];
  const losses = await evaluateLoss(model, flatten(blocks), precision);
  const loss = losses.reduce((a, b) => a + b, 0) / losses.length;
  checks.push(check(subject, 'loss', Math.abs(loss - expected.loss) / expected.loss, t.loss));
  // Rounded to bfloat16 two tokens may be equally likely.
  for (const batch of precision === 'f32' ? [1, golden.generate.length] : []) {
    const prompts = golden.generate.map(({ prompt }, index) => ({ index, ids: prompt }));
    const options = { stopTokens: [], batch_size: batch };
    const tokens: number[][] = [];
    // An output of a model with an encoder begins with its start token.
    const begun = [model.config.decoder_start_token_id ?? []].flat();
    const max_new_tokens = golden.generate[0]!.output.length - begun.length;
    for await (const answer of generate(model, prompts, { ...options, max_new_tokens }))
      tokens[answer.index] = [...begun, ...answer.tokens];
    const wanted = golden.generate.flatMap((entry) => entry.output);
    checks.push(check(subject, `greedy tokens, ${batch} at once`, mismatch(tokens.flat(), wanted), 0));
  }
  const adapter = loadAdapter(model, join(folder, 'adapter-init'));
  try {
    checks.push(check(subject, 'adapter logits', await logits(expected.adapterLogits), t.logits));
  } finally {
    adapter.dispose();
  }
  return checks;
}

async function withModel<T>(
  backend: Backend,
  folder: string,
  options: WeightOptions,
  body: (model: CausalLM) => Promise<T>,
): Promise<T> {
  const model = await loadModel(backend, folder, options);
  try {
    return await body(model);
  } finally {
    model.dispose();
  }
}

/** max |difference| over max |value|, over all rows. */
async function logitsError(
  model: CausalLM,
  blocks: readonly Block[],
  wanted: readonly Float32Array[],
  precision: Precision,
): Promise<number> {
  const g = new Pass(model.backend, {
    precision,
    members: [{ seed: 0, step: 0, pairs: model.adapter }],
  });
  try {
    const hidden = forward(model, g, modelInput(g, flatten(blocks)));
    const logits = await linear(g, hidden, model.head, { output: 'f32' }).toFloat32();
    let at = 0;
    const errors = wanted.map((w, i) => {
      const first = at;
      at += blocks[i]!.ids.length * model.head.outFeatures;
      return maxDifference(logits.subarray(first, first + w.length), w);
    });
    return Math.max(...errors) / Math.max(...wanted.map(maxAbs));
  } finally {
    g.close();
  }
}

async function trainTenSteps(
  model: CausalLM,
  parameters: Parameters<typeof train>[1],
  { golden, blocks }: Expected,
  rate: number,
  precision: Precision,
): Promise<StepRecord[]> {
  const args: TrainingArguments = {
    learning_rate: rate,
    lr_scheduler_type: 'constant',
    warmup_ratio: 0,
    warmup_steps: 0,
    adam_beta1: golden.betas[0],
    adam_beta2: golden.betas[1],
    adam_epsilon: golden.eps,
    weight_decay: golden.weight_decay,
    max_grad_norm: golden.max_grad_norm,
    num_train_epochs: 1,
    max_steps: golden.steps,
    per_device_train_batch_size: blocks.length,
    gradient_accumulation_steps: 1,
    gradient_checkpointing: false,
    bf16: precision === 'bf16',
    neftune_noise_alpha: 0,
    seed: 0,
    save_steps: 0,
    save_total_limit: 0,
  };
  const records: StepRecord[] = [];
  await train(model, parameters, blocks, args, { onStep: (record) => records.push(record) });
  return records;
}

function lossesCheck(
  subject: string,
  name: string,
  steps: StepRecord[],
  wanted: number[],
  tolerance: number,
): Check {
  const error =
    maxDifference(
      steps.map((s) => s.loss),
      wanted,
    ) / wanted[0]!;
  return check(subject, name, error, tolerance);
}

function normsCheck(
  subject: string,
  name: string,
  steps: StepRecord[],
  wanted: number[],
  tolerance: number,
): Check {
  const relative = steps.map((s, i) => s.grad_norm / wanted[i]!);
  return check(
    subject,
    name,
    maxDifference(
      relative,
      wanted.map(() => 1),
    ),
    tolerance,
  );
}

/** |value - end| / |end - start|, Euclidean over all tensors. */
function change(values: Float32Array[], end: Float32Array[], start: Float32Array[]): number {
  let difference = 0;
  let moved = 0;
  values.forEach((value, t) => {
    value.forEach((x, i) => {
      difference += (x - end[t]![i]!) ** 2;
      moved += (end[t]![i]! - start[t]![i]!) ** 2;
    });
  });
  return Math.sqrt(difference / moved);
}

function readExpected(folder: string): Expected {
  const golden = readChecked(join(folder, 'golden.json'), goldenSchema, 'fetch it again');
  const file = SafetensorsFile.open(join(folder, 'golden.safetensors'));
  try {
    const [rows, length] = file.info('input_ids').shape as [number, number];
    const ids = readIntegers(file, 'input_ids');
    const mask = readIntegers(file, 'attention_mask');
    const labels = readIntegers(file, 'labels');
    const [, written] = file.info('labels').shape as [number, number];
    const start = decoderStart(readModelJson(join(folder, 'config.json')));
    const blocks = Array.from({ length: rows }, (_, row): Block => {
      const real = Array.from({ length }, (_, i) => row * length + i).filter((i) => mask[i] === 1);
      if (start !== undefined) {
        const text = labels.slice(row * written, (row + 1) * written).filter((label) => label >= 0);
        return pairOf(
          row,
          start,
          text,
          Int32Array.from(real, (i) => ids[i]!),
        );
      }
      return {
        ids: Int32Array.from(real, (i) => ids[i]!),
        labels: Int32Array.from(real, (i) => labels[i]!),
        positions: Int32Array.from(real.keys()),
        segments: new Int32Array(real.length),
        rows: [row],
      };
    });
    const adapter = readTensors(join(folder, 'adapter-init', 'logits.safetensors'), ['logits'])[0]!;
    return {
      golden,
      blocks,
      logits: realRows(file.readFloat32('logits'), blocks, written),
      adapterLogits: realRows(adapter, blocks, written),
      loss: file.readFloat32('loss')[0]!,
    };
  } finally {
    file.close();
  }
}

/** The decoder reads its labels one place later, behind the start token; the last row predicts nothing. */
function pairOf(row: number, start: number, labels: readonly number[], read: Int32Array): Block {
  const ids = Int32Array.of(start, ...labels);
  return {
    encoder: { ids: read, segments: new Int32Array(read.length) },
    ids,
    labels: Int32Array.of(IGNORE_INDEX, ...labels),
    positions: Int32Array.from(ids.keys()),
    segments: new Int32Array(ids.length),
    rows: [row],
  };
}

/** Logits [rows, length, vocab] without those of padding, and of rows that transformers does not have. */
function realRows(logits: Float32Array, blocks: readonly Block[], length: number): Float32Array[] {
  const perRow = logits.length / blocks.length;
  return blocks.map(({ ids, encoder }, row) => {
    const real = encoder ? ids.length - 1 : ids.length;
    return logits.subarray(row * perRow, row * perRow + (real * perRow) / length);
  });
}

function readIntegers(file: SafetensorsFile, name: string): number[] {
  const { dtype, data } = file.read(name);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (dtype === 'I64')
    return Array.from({ length: data.byteLength / 8 }, (_, i) => Number(view.getBigInt64(i * 8, true)));
  if (dtype === 'I32')
    return Array.from({ length: data.byteLength / 4 }, (_, i) => view.getInt32(i * 4, true));
  throw new UserError(`${file.path}: ${name} is ${dtype}, not integers`);
}

function readTensors(path: string, names: readonly string[]): Float32Array[] {
  const file = SafetensorsFile.open(path);
  try {
    return names.map((name) => file.readFloat32(name));
  } finally {
    file.close();
  }
}
