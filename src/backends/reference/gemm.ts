/** The matrix product. Every element is one sum in double precision, in the order of k, so that nothing depends on the other rows. */

import type { Matrix } from '../span.js';
import type { Kernels } from '../kernels.js';
import { f32, readFloats } from './memory.js';
import { dequantized } from './nf4.js';

export const gemm: Kernels['gemm'] = (args) => {
  const { m, n, k, transA = false, transB = false, alpha = 1, extra = [], accumulate = false } = args;
  const a = leftRows(f32(args.a, m * k), m, k, transA);
  const b = rightColumns(matrixFloats(args.b), n, k, transB);
  const thin = extra.map(({ first, rows, k, alpha, ...factors }) => ({
    ...{ first, end: first + rows, k, alpha },
    a: leftRows(f32(factors.a, rows * k), rows, k, transA),
    b: rightColumns(f32(factors.b, n * k), n, k, transB),
  }));
  const bias = args.bias && f32(args.bias, n);
  const c = f32(args.c, m * n);
  const addend = accumulate ? c : args.residual && f32(args.residual, m * n);

  const sum = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    sum.fill(0);
    addProducts(sum, a, i * k, b, k, alpha);
    const own = thin.find(({ first, end }) => first <= i && i < end);
    if (own) addProducts(sum, own.a, (i - own.first) * own.k, own.b, own.k, own.alpha);
    if (bias) for (let j = 0; j < n; j++) sum[j]! += bias[j]!;
    if (addend) for (let j = 0; j < n; j++) sum[j]! += addend[i * n + j]!;
    c.set(sum, i * n);
  }
};

/** sum[j] += alpha · Σ a[at + p] · b[j, p], four columns at a time for the processor's sake. */
function addProducts(
  sum: Float64Array,
  a: Float32Array,
  at: number,
  b: Float32Array,
  k: number,
  alpha: number,
): void {
  const n = sum.length;
  let j = 0;
  for (; j + 4 <= n; j += 4) {
    const [b0, b1, b2, b3] = [j * k, (j + 1) * k, (j + 2) * k, (j + 3) * k];
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let p = 0; p < k; p++) {
      const x = a[at + p]!;
      s0 += x * b[b0 + p]!;
      s1 += x * b[b1 + p]!;
      s2 += x * b[b2 + p]!;
      s3 += x * b[b3 + p]!;
    }
    sum[j]! += alpha * s0;
    sum[j + 1]! += alpha * s1;
    sum[j + 2]! += alpha * s2;
    sum[j + 3]! += alpha * s3;
  }
  for (; j < n; j++) {
    let s = 0;
    for (let p = 0; p < k; p++) s += a[at + p]! * b[j * k + p]!;
    sum[j]! += alpha * s;
  }
}

function matrixFloats(matrix: Matrix): Float32Array {
  return matrix.kind === 'nf4' ? dequantized(matrix) : readFloats(matrix.data, matrix.rows * matrix.cols);
}

/** op(a) as [m, k]. */
function leftRows(a: Float32Array, m: number, k: number, trans: boolean): Float32Array {
  return trans ? transposed(a, k, m) : a;
}

/** op(b), [k, n], by columns: [n, k]. */
function rightColumns(b: Float32Array, n: number, k: number, trans: boolean): Float32Array {
  return trans ? b : transposed(b, k, n);
}

function transposed(x: Float32Array, rows: number, cols: number): Float32Array {
  const y = new Float32Array(rows * cols);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) y[c * rows + r] = x[r * cols + c]!;
  return y;
}
