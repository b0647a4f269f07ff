/**
 * RMSNorm (arXiv:1910.07467): y = x · rstd · (weightOffset + w) with rstd = 1 / sqrt(mean(x²) + eps); and LayerNorm (arXiv:1607.06450).
 */

import type { Kernels } from '../kernels.js';
import { f32 } from './memory.js';

export const rmsNorm: Kernels['rmsNorm'] = (args) => {
  const { rows, dim, eps, weightOffset } = args;
  const x = f32(args.x, rows * dim);
  const w = f32(args.w, dim);
  const y = f32(args.y, rows * dim);
  const rstds = f32(args.rstd, rows);
  for (let r = 0; r < rows; r++) {
    const at = r * dim;
    let squares = 0;
    for (let i = 0; i < dim; i++) squares += x[at + i]! ** 2;
    const rstd = 1 / Math.sqrt(squares / dim + eps);
    rstds[r] = rstd;
    for (let i = 0; i < dim; i++) y[at + i] = x[at + i]! * rstd * (weightOffset + w[i]!);
  }
};

/** With g = dy · (weightOffset + w): dx = rstd · (g - x · rstd² · mean(g · x)), and dw = Σ over rows of dy · x · rstd. */
export const rmsNormBackward: Kernels['rmsNormBackward'] = (args) => {
  const { rows, dim, accumulate, weightOffset } = args;
  const dy = f32(args.dy, rows * dim);
  const x = f32(args.x, rows * dim);
  const w = f32(args.w, dim);
  const rstds = f32(args.rstd, rows);
  const dx = f32(args.dx, rows * dim);
  const dw = new Float64Array(dim);
  for (let r = 0; r < rows; r++) {
    const at = r * dim;
    const rstd = rstds[r]!;
    let dot = 0;
    for (let i = 0; i < dim; i++) {
      dot += dy[at + i]! * (weightOffset + w[i]!) * x[at + i]!;
      dw[i]! += dy[at + i]! * x[at + i]! * rstd;
    }
    const slope = (dot / dim) * rstd ** 2;
    for (let i = 0; i < dim; i++) {
      const gradient = rstd * (dy[at + i]! * (weightOffset + w[i]!) - x[at + i]! * slope);
      dx[at + i] = accumulate ? dx[at + i]! + gradient : gradient;
    }
  }
  if (!args.dw) return;
  const out = f32(args.dw, dim);
  for (let i = 0; i < dim; i++) out[i]! += dw[i]!;
};

export const layerNorm: Kernels['layerNorm'] = (args) => {
  const { rows, dim, eps } = args;
  const x = f32(args.x, rows * dim);
  const w = f32(args.w, dim);
  const b = f32(args.b, dim);
  const y = f32(args.y, rows * dim);
  const means = f32(args.mean, rows);
  const rstds = f32(args.rstd, rows);
  for (let r = 0; r < rows; r++) {
    const row = x.subarray(r * dim, (r + 1) * dim);
    const mean = row.reduce((sum, v) => sum + v, 0) / dim;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / dim;
    const rstd = 1 / Math.sqrt(variance + eps);
    means[r] = mean;
    rstds[r] = rstd;
    for (let i = 0; i < dim; i++) y[r * dim + i] = (row[i]! - mean) * rstd * w[i]! + b[i]!;
  }
};

/**
 * With g = dy · w and n = (x - mean) · rstd: dx = rstd · (g - mean(g) - n · mean(g · n)), dw = Σ over rows of dy · n, db = Σ over
 * rows of dy.
 */
export const layerNormBackward: Kernels['layerNormBackward'] = (args) => {
  const { rows, dim, accumulate } = args;
  const dy = f32(args.dy, rows * dim);
  const x = f32(args.x, rows * dim);
  const w = f32(args.w, dim);
  const means = f32(args.mean, rows);
  const rstds = f32(args.rstd, rows);
  const dx = f32(args.dx, rows * dim);
  const [dw, db] = [new Float64Array(dim), new Float64Array(dim)];
  for (let r = 0; r < rows; r++) {
    const at = r * dim;
    const rstd = rstds[r]!;
    const normal = (i: number): number => (x[at + i]! - means[r]!) * rstd;
    let [sum, dot] = [0, 0];
    for (let i = 0; i < dim; i++) {
      const gradient = dy[at + i]! * w[i]!;
      sum += gradient;
      dot += gradient * normal(i);
      dw[i]! += dy[at + i]! * normal(i);
      db[i]! += dy[at + i]!;
    }
    for (let i = 0; i < dim; i++) {
      const gradient = rstd * (dy[at + i]! * w[i]! - sum / dim - (normal(i) * dot) / dim);
      dx[at + i] = accumulate ? dx[at + i]! + gradient : gradient;
    }
  }
  for (const [to, from] of [
    [args.dw, dw],
    [args.db, db],
  ] as const) {
    if (!to) continue;
    const out = f32(to, dim);
    for (let i = 0; i < dim; i++) out[i]! += from[i]!;
  }
};
