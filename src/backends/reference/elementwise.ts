/** Kernels that treat each element alone, the gated unit among them (arXiv:2002.05202), and the sum over rows. */

import type { GateActivation, Kernels } from '../kernels.js';
import { bytesOf, f32, readFloats, slice, writeFloats } from './memory.js';

export const convert: Kernels['convert'] = ({ x, y, n }) => {
  writeFloats(y, readFloats(x, n));
};

export const gatedUnit: Kernels['gatedUnit'] = (args) => {
  const { n } = args;
  const gate = f32(args.gate, n);
  const up = f32(args.up, n);
  const y = f32(args.y, n);
  const activation = GATES[args.activation];
  for (let i = 0; i < n; i++) y[i] = activation(gate[i]!).value * up[i]!;
};

export const gatedUnitBackward: Kernels['gatedUnitBackward'] = (args) => {
  const { n } = args;
  const dy = f32(args.dy, n);
  const gate = f32(args.gate, n);
  const up = f32(args.up, n);
  const dGate = f32(args.dGate, n);
  const dUp = f32(args.dUp, n);
  const activation = GATES[args.activation];
  for (let i = 0; i < n; i++) {
    const { value, slope } = activation(gate[i]!);
    dGate[i] = dy[i]! * up[i]! * slope;
    dUp[i] = dy[i]! * value;
  }
};

/** Activations and their derivatives. */
const GATES: Readonly<Record<GateActivation, (x: number) => { value: number; slope: number }>> = {
  silu: (x) => {
    const s = 1 / (1 + Math.exp(-x));
    return { value: x * s, slope: s * (1 + x * (1 - s)) };
  },
  gelu_tanh: (x) => {
    // (1 + tanh(u)) / 2 as the logistic function of 2u, which loses nothing where the tanh is near -1.
    const c = Math.sqrt(8 / Math.PI);
    const u = c * (x + 0.044715 * x ** 3);
    const [near, far] = [1 / (1 + Math.exp(-u)), 1 / (1 + Math.exp(u))];
    return { value: x * near, slope: near + x * near * far * c * (1 + 3 * 0.044715 * x ** 2) };
  },
};

export const add: Kernels['add'] = (args) => {
  const { n } = args;
  const a = f32(args.a, n);
  const b = f32(args.b, n);
  const y = f32(args.y, n);
  for (let i = 0; i < n; i++) y[i] = a[i]! + b[i]!;
};

export const scale: Kernels['scale'] = (args) => {
  const { n } = args;
  const x = f32(args.x, n);
  const y = f32(args.y, n);
  const alpha = Math.fround(args.alpha);
  for (let i = 0; i < n; i++) y[i] = alpha * x[i]!;
};

export const copy: Kernels['copy'] = ({ x, y, n }) => {
  bytesOf(slice(y, 0, n)).set(bytesOf(slice(x, 0, n)));
};

export const fill: Kernels['fill'] = ({ y, n, value }) => {
  f32(y, n).fill(value);
};

export const sumRows: Kernels['sumRows'] = (args) => {
  const { rows, cols, accumulate } = args;
  const x = f32(args.x, rows * cols);
  const y = f32(args.y, cols);
  const sum = accumulate ? Float64Array.from(y) : new Float64Array(cols);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) sum[c]! += x[r * cols + c]!;
  y.set(sum);
};
