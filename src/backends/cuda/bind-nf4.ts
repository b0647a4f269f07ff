/** NF4 and conversions as entries of the contract's table. */

import type { DType, Nf4Matrix, Span } from '../span.js';
import type { Kernels } from '../kernels.js';
import { NF4_BLOCK } from '../../util/nf4.js';
import { address, type CudaDevice } from './device.js';

/** The kernels' names of the plain types. */
const TYPE_NAME: Readonly<Partial<Record<DType, string>>> = { f32: 'float', bf16: 'bf16', f16: 'f16' };

export function typeName(span: Span, kernel: string): string {
  const name = TYPE_NAME[span.dtype];
  if (name === undefined) throw new TypeError(`${kernel}: f32, bf16 or f16 is wanted, not ${span.dtype}`);
  return name;
}

/** Addresses of packed codes and scales, as kernels take them: 'ppppp'. */
export function nf4Addresses({
  packed,
  absmax,
  nested,
}: Nf4Matrix): [number, number, number, number, number] {
  if (!nested) return [address(packed), address(absmax), 0, 0, 0];
  const { absmax: scales, map, offset } = nested;
  return [address(packed), address(absmax), address(scales), address(map), address(offset)];
}

const THREADS = 256;

export function bindNf4(
  device: CudaDevice,
): Pick<Kernels, 'quantizeNf4' | 'quantizeScales' | 'dequantizeNf4' | 'convert'> {
  return {
    quantizeNf4({ x, n, packed, absmax }) {
      const kernel = device.kernel('nf4', 'ww_quantize_nf4', 'plpp', { FROM: typeName(x, 'quantizeNf4') });
      const blocks = Math.ceil(n / NF4_BLOCK);
      const grid = [Math.ceil(blocks / (THREADS / 32)), 1, 1] as const;
      kernel.launch(grid, THREADS, 0, address(x), n, address(packed), address(absmax));
    },
    quantizeScales({ absmax, n, map, codes, scales, offset }) {
      const mean = device.kernel('nf4', 'ww_scales_mean', 'plp');
      mean.launch([1, 1, 1], 1024, 0, address(absmax), n, address(offset));
      const kernel = device.kernel('nf4', 'ww_quantize_scales', 'plpppp');
      const spans = [map, codes, scales, offset].map(address);
      kernel.launch([Math.ceil(n / 256), 1, 1], 256, 0, address(absmax), n, ...spans);
    },
    dequantizeNf4({ w, y }) {
      const n = w.rows * w.cols;
      const defines = { TO: typeName(y, 'dequantizeNf4'), NESTED: w.nested ? 1 : 0 };
      const kernel = device.kernel('nf4', 'ww_dequantize_nf4', 'ppppppli', defines);
      const vector = address(w.packed) % 8 === 0 && address(y) % 16 === 0;
      const grid = [Math.ceil(n / (16 * THREADS)), 1, 1] as const;
      kernel.launch(grid, THREADS, 0, ...nf4Addresses(w), address(y), n, Number(vector));
    },
    convert({ x, y, n }) {
      const defines = { FROM: typeName(x, 'convert'), TO: typeName(y, 'convert') };
      const vector = address(x) % 16 === 0 && address(y) % 16 === 0;
      const threads = vector ? Math.floor(n / 8) + 1 : n;
      const grid = [Math.ceil(threads / THREADS), 1, 1] as const;
      device
        .kernel('nf4', 'ww_convert', 'ppli', defines)
        .launch(grid, THREADS, 0, address(x), address(y), n, Number(vector));
    },
  };
}
