/** What is computed from a row of logits: cross-entropy with its gradient, and the place of the largest. */

import type { Kernels } from '../kernels.js';
import { f32, i32 } from './memory.js';

export const crossEntropy: Kernels['crossEntropy'] = (args) => {
  const { rows, vocab, smoothing = 0 } = args;
  const logits = f32(args.logits, rows * vocab);
  const targets = i32(args.targets, rows);
  const losses = f32(args.losses, rows);
  const gradient = args.gradient && f32(args.gradient.to, rows * vocab);
  const scale = args.gradient?.scale ?? 0;
  for (let r = 0; r < rows; r++) {
    const row = logits.subarray(r * vocab, (r + 1) * vocab);
    const target = targets[r]!;
    if (target >= vocab) throw new RangeError(`target ${target} in a vocabulary of ${vocab}`);
    if (target < 0) {
      losses[r] = 0;
      gradient?.fill(0, r * vocab, (r + 1) * vocab);
      continue;
    }
    let most = -Infinity;
    for (let i = 0; i < vocab; i++) most = Math.max(most, row[i]!);
    let sum = 0;
    for (let i = 0; i < vocab; i++) sum += Math.exp(row[i]! - most);
    losses[r] = most + Math.log(sum) - row[target]!;
    if (smoothing > 0) losses[r]! += smoothing * (row[target]! - row.reduce((a, b) => a + b, 0) / vocab);
    if (!gradient) continue;
    for (let i = 0; i < vocab; i++) {
      const softmax = Math.exp(row[i]! - most) / sum;
      const goal = (i === target ? 1 - smoothing : 0) + smoothing / vocab;
      gradient[r * vocab + i] = (softmax - goal) * scale;
    }
  }
};

/** A NaN counts as the largest, as in torch. */
export const argmax: Kernels['argmax'] = ({ x, out, rows, cols }) => {
  const values = f32(x, rows * cols);
  const places = i32(out, rows);
  for (let r = 0; r < rows; r++) {
    let best = 0;
    for (let c = 0; c < cols; c++) {
      const value = values[r * cols + c]!;
      if (Number.isNaN(value)) {
        best = c;
        break;
      }
      if (value > values[r * cols + best]!) best = c;
    }
    places[r] = best;
  }
};
