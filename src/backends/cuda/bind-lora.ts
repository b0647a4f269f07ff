/** LoRA's products over its adapted modules, of a rank of at most 64, on tensor cores: memory is their limit, what is large is read once. */

import type { Span } from '../span.js';
import type { Dropout } from '../kernels.js';
import type { LoraKernels } from '../lora.js';
import { aligned, BLOCK, keepThreshold, keyedFamily, randomArguments } from './arguments.js';
import { bindSumParts } from './bind-parts.js';
import { address, type CudaDevice } from './device.js';

const MAX_RANK = 64;
/** Rows, columns and steps of the kernels' tiles. */
const DOWN_ROWS = 256;
const COLUMNS = 256;
const STEP = 64;
const DOWN_BLOCK = 512;

/** A length in equal slices, multiples of `step`, so that `strips` times their count fill the places for blocks once or twice. */
function slices(
  length: number,
  step: number,
  strips: number,
  places: number,
  largest = Infinity,
): { size: number; count: number } {
  const filled = (waves: number): number => {
    const count = Math.max(1, Math.floor((waves * places) / strips));
    return (count * strips) / (places * Math.ceil((count * strips) / places));
  };
  const waves = filled(1) > 0.9 * filled(2) ? 1 : 2;
  const wanted = Math.max(1, Math.floor((waves * places) / strips));
  const size = Math.min(largest, Math.max(step, Math.ceil(length / wanted / step) * step));
  return { size, count: Math.max(1, Math.ceil(length / size)) };
}

function scaleOf(mask: Dropout | undefined): number {
  return mask ? 1 / (1 - mask.p) : 1;
}

function maskArguments(mask: Dropout | undefined): number[] {
  return mask ? [keepThreshold(mask), ...randomArguments(mask.random), mask.firstElement] : [0, 0, 0, 0, 0];
}

/** `plain` has what the tensor cores' kernels do not take: other types, sizes and addresses. */
export function bindLora(device: CudaDevice, plain: LoraKernels): LoraKernels {
  const down = keyedFamily(device, 'lora-down', 'ww_lora_down', 'pppiiiiuuuul');
  const downBackward = keyedFamily(device, 'lora-down-backward', 'ww_lora_down_backward', 'pppppiiiifuuuul');
  const upBackward = keyedFamily(device, 'lora-up-backward', 'ww_lora_up_backward', 'pppppiiii');
  const sum = bindSumParts(device);

  const places = (rank: number): number => (rank <= 32 ? 2 : 1) * device.multiprocessors;

  function possible(r: number, cols: number, activations: readonly Span[], others: readonly Span[]): boolean {
    return (
      device.capability >= 80 &&
      r <= MAX_RANK &&
      cols % 8 === 0 &&
      activations.every((span) => span.dtype === 'bf16') &&
      [...activations, ...others].every((span) => aligned(address(span)))
    );
  }

  return {
    loraDown(args) {
      const { x, a, u, rows, cols, r, dropout } = args;
      const fits = possible(r, cols, [x, u], [a]) && (dropout?.firstElement ?? 0) % 8 === 0;
      if (!fits) {
        plain.loraDown(args);
        return;
      }
      const strips = Math.ceil(rows / DOWN_ROWS);
      const { RANK, RAGGED } = ranks(r, 8);
      const largest = Math.floor((device.sharedPerBlock / (2 * RANK) - 32) / STEP) * STEP;
      const { size, count } = slices(cols, STEP, strips, device.multiprocessors, largest);
      const shared = Math.max(2 * RANK * (size + 32), 4 * DOWN_ROWS * RANK);
      device.withScratch(count * rows * r * 4, (parts) => {
        const sizes = [rows, cols, r, size, ...maskArguments(dropout)];
        const kernel = down({ ACTIVATION: 'bf16', RANK, RAGGED, DROP: dropout ? 1 : 0 });
        kernel.launch([strips, count, 1], DOWN_BLOCK, shared, address(x), address(a), parts, ...sizes);
        sum(parts, count, rows * r, u, undefined, scaleOf(dropout));
      });
    },

    loraDownBackward(args) {
      const { x, du, a, dA, dx, rows, cols, r, dropout, accumulate } = args;
      const fits =
        possible(r, cols, dx ? [x, du, dx] : [x, du], [a]) && (dropout?.firstElement ?? 0) % 8 === 0;
      if (!fits || !dA) {
        plain.loraDownBackward(args);
        return;
      }
      const { RANK, RAGGED } = ranks(r, 16);
      const strips = Math.ceil(cols / COLUMNS);
      const { size, count } = slices(rows, STEP, strips, places(RANK));
      const scale = scaleOf(dropout);
      device.withScratch(count * r * cols * 4, (parts) => {
        const defines = { ACCUMULATE: accumulate && dx ? 1 : 0, DROP: dropout ? 1 : 0 };
        const spans = [address(x), address(du), address(a), parts, dx ? address(dx) : 0];
        const sizes = [rows, cols, r, size, scale, ...maskArguments(dropout)];
        const kernel = downBackward({ ACTIVATION: 'bf16', RANK, RAGGED, ...defines });
        kernel.launch([strips, count, 1], BLOCK, 0, ...spans, ...sizes);
        sum(parts, count, r * cols, dA, dA, scale);
      });
    },

    loraUpBackward(args) {
      const { dy, u, b, du, dB, alpha, rows, cols, r } = args;
      const { RANK, RAGGED } = ranks(r, 16);
      const shared = upBackwardShared(RANK);
      if (!dB || !possible(r, cols, [dy, u, du], []) || shared > device.sharedPerBlock) {
        plain.loraUpBackward(args);
        return;
      }
      const strips = Math.ceil(cols / COLUMNS);
      const { size, count } = slices(rows, STEP, strips, places(RANK));
      const duBytes = strips * rows * r * 4;
      device.withScratch(duBytes + count * cols * r * 4, (duParts) => {
        const dbParts = duParts + duBytes;
        const spans = [address(dy), address(u), address(b), duParts, dbParts];
        const kernel = upBackward({ ACTIVATION: 'bf16', RANK, RAGGED });
        kernel.launch([strips, count, 1], BLOCK, shared, ...spans, rows, cols, r, size);
        sum(duParts, strips, rows * r, du, undefined, alpha);
        sum(dbParts, count, cols * r, dB, dB, alpha);
      });
    },
  };
}

/** A rank as kernels have it that take it in steps of `tile`. */
function ranks(r: number, tile: 8 | 16): { RANK: number; RAGGED: 0 | 1 } {
  return { RANK: Math.ceil(r / tile) * tile, RAGGED: r % 8 === 0 ? 0 : 1 };
}

/** The size of lora-up-backward.cu's Shared. */
function upBackwardShared(rank: number): number {
  const stages = rank <= 32 ? 2 : 3;
  const thin = rank + 8;
  return stages * 2 * (STEP * (COLUMNS + 8) + STEP * thin) + 2 * COLUMNS * thin + 4 * STEP * thin;
}
