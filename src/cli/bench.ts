/** `westwind bench`: how fast this machine trains and generates, in how much memory, and how its matrix product compares. */

import { availableParallelism } from 'node:os';
import { InvalidArgumentError } from 'commander';
import type { Backend } from '../backends/contract.js';
import { benchGeneration, benchLoading, benchTraining } from '../experiments/bench/index.js';
import { benchProduct } from '../experiments/plan/products.js';
import {
  collectGarbage,
  WEIGHT_FORMATS,
  type KernelTimes,
  type WeightFormat,
} from '../experiments/bench/model.js';
import { benchShape, shapeNames } from '../experiments/bench/shapes.js';
import type { BenchShape } from '../models/family.js';
import { deviceOptions, nonNegative, openBackend, positiveInteger, type DeviceFlags } from './device.js';
import type { Verb } from './main.js';
import { say, sayJson, sayLines } from './output.js';
import { tableText } from './table.js';

const WHAT = ['gemm', 'train', 'generate', 'load'] as const;
const PRECISIONS = ['f32', 'bf16'] as const;

interface Flags extends DeviceFlags {
  readonly model: string;
  readonly what: (typeof WHAT)[number][];
  readonly weights: WeightFormat[];
  readonly precision: (typeof PRECISIONS)[number][];
  readonly gradientCheckpointing?: boolean;
  readonly full?: boolean;
  readonly r: number;
  readonly targets: string;
  readonly dropout: number;
  readonly accumulation: number;
  readonly unpacked: number;
  readonly profile?: boolean;
  readonly seconds: number;
  readonly steps?: number;
  readonly batch?: number[];
  readonly length?: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly json?: boolean;
}

/** One line of the table; what does not apply is absent. */
interface Figures {
  readonly what: string;
  readonly tokens_per_second?: number;
  readonly gflops: number;
  readonly peak_bytes?: number;
  readonly planned_bytes?: number;
  readonly resident_bytes?: number;
  readonly [detail: string]: unknown;
}

export const verb: Verb = (command) => {
  deviceOptions(command)
    .option('--model <name>', `${shapeNames().join(', ')}, or a folder with a config.json`, '6m')
    .option('--random-weights', 'take random weights (the only ones that bench takes; says so in a script)')
    .option('--what <list>', WHAT.join(', '), oneOf(WHAT), ['gemm', 'train', 'generate'])
    .option('--weights <list>', WEIGHT_FORMATS.join(', '), oneOf(WEIGHT_FORMATS), [...WEIGHT_FORMATS])
    .option('--precision <list>', "training's matrix products: f32, bf16", oneOf(PRECISIONS), [
      'f32' as const,
    ])
    .option('--gradient-checkpointing', 'train with it')
    .option('--full', 'train every weight, kept in f32, in the place of an adapter')
    .option('-r, --r <n>', "the adapter's rank", positiveInteger, 8)
    .option('--targets <list>', "the adapter's target_modules", 'all-linear')
    .option('--dropout <p>', "the adapter's dropout", nonNegative, 0)
    .option('--accumulation <n>', 'batches a training step', positiveInteger, 1)
    .option('--unpacked <gib>', 'keep unpacked copies of NF4 weights in so much memory', nonNegative, 0)
    .option('--profile', 'show the time of each kernel, where the device has clocks for it')
    .option('--seconds <n>', 'train for so long', nonNegative, 5)
    .option('--steps <n>', 'train for so many steps instead, and show the memory on the way', positiveInteger)
    .option('--batch <list>', "sequences at once (default: the shape's own, and 1,16 to generate)", numbers)
    .option('--length <n>', 'tokens of a training sequence', positiveInteger)
    .option('--prompt-tokens <n>', 'tokens of a prompt', positiveInteger, 64)
    .option('--new-tokens <n>', 'generate so many', positiveInteger, 48)
    .option('--json', 'one JSON object a line')
    .action(async (flags: Flags) => {
      const shape = benchShape(flags.model);
      const backend = await openBackend(flags);
      const { what } = flags;
      const lines: Figures[] = [];
      if (!flags.json) say(backend.description);
      const add = (line: Figures): void => {
        lines.push(line);
        if (flags.json) sayJson({ model: flags.model, ...line });
      };
      if (what.includes('gemm')) await gemm(backend, flags, add);
      if (what.includes('train')) await training(backend, shape, flags, add);
      if (what.includes('generate')) await generation(backend, shape, flags, add);
      if (what.includes('load')) await loading(backend, shape, flags);
      if (!flags.json) sayLines(table(flags.model, lines));
    });
};

async function gemm(backend: Backend, flags: Flags, add: (line: Figures) => void): Promise<void> {
  if (backend.name === 'cuda') {
    const { size, precision, gflops } = await benchProduct(backend, 8192, 20);
    add({ what: `${precision} product ${size} x ${size} x ${size}`, gflops });
  }
  if (backend.name !== 'cpu') return;
  // Native code is loaded only where it is there: every verb works without it.
  const { compareWithOpenBlas } = await import('../backends/cpu/peer.js');
  const result = await compareWithOpenBlas(backend, flags.threads ?? availableParallelism());
  if (result === undefined) {
    process.stderr.write(
      'westwind: OpenBLAS is not installed (Debian: libopenblas0-pthread), so there is nothing to compare with\n',
    );
    return;
  }
  const { m, n, k, ours, openblas, ratio } = result;
  const what = `f32 product ${m} x ${n} x ${k}`;
  add({ what, gflops: ours });
  add({ what: `${what}, OpenBLAS (ratio ${ratio.toFixed(2)})`, gflops: openblas, ratio });
}

async function training(
  backend: Backend,
  shape: BenchShape,
  flags: Flags,
  add: (line: Figures) => void,
): Promise<void> {
  const { seconds, steps, r, gradientCheckpointing = false, full = false, length = shape.length } = flags;
  // Trained weights are f32, whatever form is asked for.
  for (const weights of full ? (['f32'] as const) : flags.weights) {
    for (const precision of flags.precision) {
      for (const batch of flags.batch ?? [shape.batch]) {
        const figures = await benchTraining(
          backend,
          { ...shape, batch, length },
          {
            weights,
            full,
            precision,
            gradientCheckpointing,
            r,
            targets: flags.targets.includes(',') ? flags.targets.split(',') : flags.targets,
            dropout: flags.dropout,
            accumulation: flags.accumulation,
            unpackedBytes: flags.unpacked * 2 ** 30,
            profile: flags.profile ?? false,
            seconds,
            steps,
            onStep: steps === undefined ? undefined : showMemory(steps, flags.json),
          },
        );
        const how = `${precision === 'bf16' ? ', bf16' : ''}${gradientCheckpointing ? ', checkpointing' : ''}`;
        const { decoderLength } = shape;
        const texts = `${batch} x ${decoderLength === undefined ? length : `(${length} + ${decoderLength})`}`;
        const passes = flags.accumulation > 1 ? ` x ${flags.accumulation}` : '';
        add({
          what: `train ${full ? 'every weight' : weights}${how}${full ? '' : `, r ${r} on ${flags.targets}`}, ${texts}${passes}`,
          tokens_per_second: figures.tokensPerSecond,
          gflops: figures.gflops,
          peak_bytes: figures.peakBytes,
          planned_bytes: figures.plannedBytes,
          resident_bytes: figures.residentBytes,
          parameters: figures.parameters,
          steps: figures.steps,
          losses: figures.losses,
        });
        if (figures.kernels) showKernels(figures.kernels, flags.json);
      }
    }
  }
}

/** About ten lines over the steps: what grows shows here. */
function showMemory(steps: number, json = false): (step: number) => void {
  const every = Math.max(1, Math.floor(steps / 10));
  return (step) => {
    if (step % every !== 0 && step !== 1) return;
    collectGarbage();
    const resident_bytes = process.memoryUsage.rss();
    if (json) sayJson({ step, resident_bytes });
    else say(`step ${step}: ${megabytes(resident_bytes)} resident, garbage collected`);
  };
}

async function generation(
  backend: Backend,
  shape: BenchShape,
  flags: Flags,
  add: (line: Figures) => void,
): Promise<void> {
  for (const weights of flags.weights) {
    for (const batch of flags.batch ?? [1, 16]) {
      const figures = await benchGeneration(backend, shape, {
        weights,
        batch,
        promptTokens: flags.promptTokens,
        newTokens: flags.newTokens,
        unpackedBytes: flags.unpacked * 2 ** 30,
        profile: flags.profile ?? false,
      });
      add({
        what: `generate ${weights}, ${batch} x (${flags.promptTokens} + ${flags.newTokens})`,
        tokens_per_second: figures.tokensPerSecond,
        gflops: figures.gflops,
        peak_bytes: figures.peakBytes,
        resident_bytes: figures.residentBytes,
      });
      if (figures.kernels) showKernels(figures.kernels, flags.json);
    }
  }
}

async function loading(backend: Backend, shape: BenchShape, flags: Flags): Promise<void> {
  const { bytes, readSeconds, loadSeconds } = await benchLoading(backend, shape, 2);
  const line = { what: 'load', bytes, read_seconds: readSeconds, load_seconds: loadSeconds };
  if (flags.json) sayJson({ model: flags.model, ...line });
  else
    say(
      `a checkpoint of ${(bytes / 1e9).toFixed(2)} GB: read in ${readSeconds.toFixed(2)} s, loaded and quantized in ` +
        `${loadSeconds.toFixed(2)} s, ${(loadSeconds / readSeconds).toFixed(2)} times as long`,
    );
}

function showKernels(kernels: KernelTimes, json = false): void {
  const rows = [...kernels]
    .map(([kernel, { calls, milliseconds }]) => ({ kernel, calls, milliseconds }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
  const total = rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  if (json) {
    sayJson({ kernels: rows });
    return;
  }
  const cells = rows.map(({ kernel, calls, milliseconds: ms }) => [
    kernel,
    String(calls),
    ms.toFixed(2),
    `${((100 * ms) / total).toFixed(1)} %`,
  ]);
  sayLines(`${tableText(['kernel', 'calls', 'ms', 'share'], cells)}\n`);
}

function table(model: string, lines: readonly Figures[]): string {
  const cell = (n: number | undefined, show: (n: number) => string): string =>
    n === undefined ? '' : show(n);
  const most = lines.find((line) => line.what.includes(' product '))?.gflops;
  const rows = lines.map((line) => [
    line.what,
    cell(line.tokens_per_second, (n) => n.toFixed(0)),
    line.gflops.toFixed(1),
    cell(most, (n) => `${((100 * line.gflops) / n).toFixed(0)} %`),
    cell(line.peak_bytes, megabytes),
    cell(line.planned_bytes, megabytes),
    cell(line.resident_bytes, megabytes),
  ]);
  const heads = [model, 'tok/s', 'GFLOP/s', 'of the product', 'held at most', 'planned', 'resident'];
  return (
    `\n${tableText(heads, rows)}\n\nGFLOP/s: training counts 4 operations a parameter and token, 6 with checkpointing, 2 more with --full, generation 2; ` +
    'held: by the backend; planned: by the rule of `westwind plan`; resident: the whole process'
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function oneOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(',').map((part) => {
      const found = known.find((name) => name === part.trim());
      if (found === undefined) throw new InvalidArgumentError(`${known.join(', ')} are known, by commas`);
      return found;
    });
}

function numbers(text: string): number[] {
  return text.split(',').map(positiveInteger);
}
