/**
 * The rates of the cpu backend's matrix product: `node --import tsx scripts/bench-gemm.ts [threads]`. First beside OpenBLAS (where
 * installed), then every type of weight, in the shapes of training (tiles), LoRA (thin) and decoding (rows).
 */

import { availableParallelism } from 'node:os';
import { BYTES_PER_ELEMENT, type DType, type Matrix, type Span } from '../src/backends/span.js';
import type { GemmArgs } from '../src/backends/kernels.js';
import { createCpuBackend } from '../src/backends/cpu/index.js';
import { compareWithOpenBlas, median, numbers, seconds } from '../src/backends/cpu/peer.js';

const threads = Number(process.argv[2] ?? availableParallelism());
const backend = createCpuBackend({ threads });
console.log(backend.description);

type Kind = 'f32' | 'bf16' | 'nf4';

function span(length: number, dtype: DType): Span {
  return { buffer: backend.alloc(length * BYTES_PER_ELEMENT[dtype]), offset: 0, dtype, length };
}

/** A weight matrix and the bytes a product reads of it. */
function weights(kind: Kind, rows: number, cols: number): [Matrix, number] {
  const n = rows * cols;
  const source = numbers(backend, n);
  if (kind === 'f32') return [{ kind: 'dense', rows, cols, data: source }, 4 * n];
  if (kind === 'bf16') {
    const data = span(n, 'bf16');
    backend.kernels.convert({ x: source, y: data, n });
    return [{ kind: 'dense', rows, cols, data }, 2 * n];
  }
  const packed = span(Math.ceil(n / 2), 'u8');
  const absmax = span(Math.ceil(n / 64), 'f32');
  backend.kernels.quantizeNf4({ x: source, n, packed, absmax });
  return [{ kind: 'nf4', rows, cols, packed, absmax }, packed.length + 4 * absmax.length];
}

async function rate(
  m: number,
  n: number,
  k: number,
  options: Pick<GemmArgs, 'transA' | 'transB' | 'path'>,
): Promise<void> {
  const cells: string[] = [];
  for (const precision of ['f32', 'bf16'] as const)
    for (const kind of ['f32', 'bf16', 'nf4'] as const) {
      const [b, bytes] = weights(kind, options.transB ? n : k, options.transB ? k : n);
      const args: GemmArgs = {
        m,
        n,
        k,
        a: numbers(backend, m * k),
        b,
        c: span(m * n, 'f32'),
        precision,
        ...options,
      };
      const times: number[] = [];
      for (let i = 0; i < 21; i++) times.push(await seconds(backend, () => backend.kernels.gemm(args)));
      const time = median(times.slice(1));
      const perSecond = options.path === 'rows' && m <= 4 ? ` ${(bytes / time / 1e9).toFixed(1)} GB/s` : '';
      cells.push(
        `${kind}${precision === 'bf16' ? '·bf16' : ''} ${((2 * m * n * k) / time / 1e9).toFixed(1)}${perSecond}`,
      );
    }
  const letters = `${options.transA ? 'T' : 'N'}${options.transB ? 'T' : 'N'}`;
  console.log(`${options.path ?? 'tiles'} ${letters} ${m} x ${n} x ${k} [GFLOP/s]: ${cells.join(', ')}`);
}

for (const shape of [
  { m: 1024, n: 1024, k: 1024 },
  { m: 2048, n: 768, k: 2048 },
  { m: 256, n: 256, k: 256 },
]) {
  const result = await compareWithOpenBlas(backend, threads, shape);
  const { m, n, k } = shape;
  console.log(
    result
      ? `sgemm ${m} x ${n} x ${k}: ${result.ours.toFixed(1)} GFLOP/s, OpenBLAS ${result.openblas.toFixed(1)}, ratio ${result.ratio.toFixed(2)}`
      : 'OpenBLAS is not installed (Debian: libopenblas0-pthread)',
  );
}
await rate(1024, 1024, 1024, { transB: true });
await rate(2048, 768, 2048, { transB: true });
await rate(2048, 2048, 768, {});
await rate(2048, 8, 768, { transB: true });
await rate(2048, 768, 8, {});
await rate(8, 768, 2048, { transA: true });
await rate(768, 8, 2048, { transA: true });
for (const m of [1, 4, 16]) await rate(m, 2048, 2048, { transB: true, path: 'rows' });
await rate(1, 32000, 768, { transB: true, path: 'rows' });
