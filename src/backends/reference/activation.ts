/** GELU (arXiv:1606.08415), by the error function and by its approximation with tanh, and ReLU; and their slopes. */

import type { Activation, Kernels } from '../kernels.js';
import { f32 } from './memory.js';

export const activate: Kernels['activate'] = (args) => {
  const { n, activation } = args;
  const x = f32(args.x, n);
  const y = f32(args.y, n);
  for (let i = 0; i < n; i++) y[i] = ACTIVATIONS[activation](x[i]!).value;
};

export const activateBackward: Kernels['activateBackward'] = (args) => {
  const { n, activation } = args;
  const dy = f32(args.dy, n);
  const x = f32(args.x, n);
  const dx = f32(args.dx, n);
  for (let i = 0; i < n; i++) dx[i] = dy[i]! * ACTIVATIONS[activation](x[i]!).slope;
};

const ACTIVATIONS: Readonly<Record<Activation, (x: number) => { value: number; slope: number }>> = {
  gelu(x) {
    const share = erfc(-x * Math.SQRT1_2) / 2;
    return { value: x * share, slope: share + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI) };
  },
  gelu_tanh(x) {
    const c = Math.sqrt(2 / Math.PI);
    const t = Math.tanh(c * (x + 0.044715 * x ** 3));
    const inner = c * (1 + 3 * 0.044715 * x * x);
    return { value: (x / 2) * (1 + t), slope: (1 + t) / 2 + (x / 2) * (1 - t * t) * inner };
  },
  relu: (x) => ({ value: Math.max(x, 0), slope: x > 0 ? 1 : 0 }),
};

/**
 * 1 - erf(x), its digits good far out as well: for |x| < 2.5 the series erf(x) = 2/√π · e^(-x²) · Σ x · (2x²)ⁿ / (1 · 3 · … · (2n + 1)),
 * beyond it the continued fraction e^(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))) (Abramowitz and Stegun, 7.1.6 and 7.1.14).
 */
function erfc(x: number): number {
  if (x < -2.5) return 2 - erfc(-x);
  const scale = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
    return 1 - 2 * scale * sum;
  }
  if (x > 27) return 0;
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return scale / fraction;
}
