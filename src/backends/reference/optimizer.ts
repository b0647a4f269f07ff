/** The gradient's norm, its clipping, and AdamW (arXiv:1711.05101) in the order of torch.optim.AdamW's operations. */

import type { Kernels } from '../kernels.js';
import { f32 } from './memory.js';

export const sumSquares: Kernels['sumSquares'] = ({ x, n, out, accumulate }) => {
  const values = f32(x, n);
  const total = f32(out, 1);
  let sum = accumulate ? total[0]! : 0;
  for (let i = 0; i < n; i++) sum += values[i]! ** 2;
  total[0] = sum;
};

export const clipCoefficient: Kernels['clipCoefficient'] = (args) => {
  const sum = f32(args.sumSquares, 1)[0]!;
  const coefficient = Math.min(1, args.maxNorm / (Math.sqrt(sum) + 1e-6));
  f32(args.out, 1)[0] = Number.isFinite(sum) ? coefficient : NaN;
};

export const adamw: Kernels['adamw'] = (args) => {
  const { n, lr, beta1, beta2, eps, weightDecay, step } = args;
  const param = f32(args.param, n);
  const grad = f32(args.grad, n);
  const m = f32(args.m, n);
  const v = f32(args.v, n);
  const scale = f32(args.gradScale, 1)[0]!;
  if (Number.isNaN(scale)) return;
  const rate = lr / (1 - beta1 ** step);
  const rootCorrection = Math.sqrt(1 - beta2 ** step);
  for (let i = 0; i < n; i++) {
    const g = grad[i]! * scale;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    const decayed = param[i]! * (1 - lr * weightDecay);
    param[i] = decayed - (rate * m[i]!) / (Math.sqrt(v[i]!) / rootCorrection + eps);
  }
};
