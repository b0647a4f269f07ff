/** The rate of a large matrix product, the measure of what a device can do: the other figures of a run are shares of it. */

import { Tensor } from '../../tensor/tensor.js';
import type { Backend } from '../../backends/contract.js';

export interface ProductRate {
  readonly size: number;
  readonly precision: 'f32' | 'bf16';
  /** 10⁹ operations a second, 2·size³ of them in a product. */
  readonly gflops: number;
}

/** Times a·bᵀ of two square matrices of random numbers (zeros would run faster) in the backend's own type of activations. */
/** Bytes a second that a copy within the device's memory moves, counting those read and those written. */
export async function benchCopy(backend: Backend, bytes: number, repetitions: number): Promise<number> {
  const n = bytes / 4;
  const x = Tensor.zeros(backend, [n]);
  const y = Tensor.empty(backend, [n]);
  try {
    backend.kernels.copy({ x, y, n });
    await backend.synchronize();
    const started = performance.now();
    for (let i = 0; i < repetitions; i++) backend.kernels.copy({ x, y, n });
    await backend.synchronize();
    return (2 * bytes * repetitions) / ((performance.now() - started) / 1000);
  } finally {
    x.release();
    y.release();
  }
}

export async function benchProduct(
  backend: Backend,
  size: number,
  repetitions: number,
): Promise<ProductRate> {
  const precision = backend.activations;
  const [a, b, c] = [1, 2, 3].map((stream) => {
    const t = Tensor.empty(backend, [size, size], precision);
    backend.kernels.fillNormal({ y: t, n: t.length, deviation: 1, random: { seed: 0, stream, step: 0 } });
    return t;
  }) as [Tensor, Tensor, Tensor];
  const multiply = (): void =>
    backend.kernels.gemm({
      ...{ m: size, n: size, k: size, a, c, transB: true, precision },
      b: { kind: 'dense', rows: size, cols: size, data: b },
    });
  try {
    multiply();
    await backend.synchronize();
    const started = performance.now();
    for (let i = 0; i < repetitions; i++) multiply();
    await backend.synchronize();
    const seconds = (performance.now() - started) / 1000;
    return { size, precision, gflops: (2 * size ** 3 * repetitions) / seconds / 1e9 };
  } finally {
    for (const t of [a, b, c]) t.release();
  }
}
