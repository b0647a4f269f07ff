/** Cases of LoRA's products between a module's rows and those of its rank. */

import type { Dropout } from '../../../src/backends/kernels.js';
import { define, drawFrom, dropoutFactor, f32, random, unwritten, type Case } from './harness.js';

drawFrom(8000);

type LoraOutput = 'u' | 'dA' | 'dx' | 'dA, dx' | 'dA, dx accumulated' | 'du' | 'du, dB';

/** LoRA's products; `into`: what is asked for. x stands for y's gradient in that of the outer product. */
function loraCase(
  rows: number,
  cols: number,
  r: number,
  into: LoraOutput,
  { precision = 'f32', masked = true }: { precision?: 'f32' | 'bf16'; masked?: boolean } = {},
): Case {
  const drop: Dropout = { p: 0.3, random: { seed: 5, stream: 6, step: 7 }, firstElement: 3 * cols };
  const [x, a, u] = [random(rows * cols), random(r * cols), random(rows * r)];
  const [dA, dx] = [random(r * cols), random(rows * cols)];
  const accumulate = into.endsWith('accumulated');
  const arrays = {
    ...{ x: f32(x), a: f32(a), given: f32(u), u: unwritten(rows * r), du: unwritten(rows * r) },
    ...{ dA: f32(dA), dB: f32(dA), dx: accumulate ? f32(dx) : unwritten(rows * cols) },
  };
  const outputs = (['u', 'dA', 'dx', 'du', 'dB'] as const).filter((name) =>
    into.replace(' accumulated', '').split(', ').includes(name),
  );
  return define(
    `${rows} rows of ${cols}, r ${r}, ${into}, ${precision}${masked ? '' : ', no mask'}`,
    arrays,
    outputs,
    (kernels, s) => {
      const shape = { rows, cols, r, precision, ...(masked && { dropout: drop }) };
      const given = (name: 'dA' | 'dB' | 'dx'): object => (outputs.includes(name) ? { [name]: s[name] } : {});
      if (into === 'u') kernels.loraDown({ ...shape, x: s.x, a: s.a, u: s.u });
      else if (into.startsWith('du'))
        kernels.loraUpBackward({
          ...shape,
          dy: s.x,
          u: s.given,
          b: s.a,
          du: s.du,
          ...given('dB'),
          alpha: 0.5,
        });
      else
        kernels.loraDownBackward({
          ...{ ...shape, x: s.x, a: s.a, du: s.given, accumulate },
          ...given('dA'),
          ...given('dx'),
        });
    },
    {
      expected: () => {
        const [toU, toDu] = [new Float64Array(rows * r), new Float64Array(rows * r)];
        const [toA, toB] = [Float64Array.from(dA), Float64Array.from(dA)];
        const toX = Float64Array.from(accumulate ? dx : new Float32Array(rows * cols));
        for (let row = 0; row < rows; row++)
          for (let c = 0; c < cols; c++) {
            const at = row * cols + c;
            const factor = masked ? dropoutFactor(drop, at) : 1;
            for (let i = 0; i < r; i++) {
              toU[row * r + i]! += factor * x[at]! * a[i * cols + c]!;
              toA[i * cols + c]! += factor * x[at]! * u[row * r + i]!;
              toX[at]! += factor * a[i * cols + c]! * u[row * r + i]!;
              toDu[row * r + i]! += 0.5 * x[at]! * a[c * r + i]!;
              toB[c * r + i]! += 0.5 * x[at]! * u[row * r + i]!;
            }
          }
        const all = { u: toU, dA: toA, dx: toX, du: toDu, dB: toB };
        return Object.fromEntries(outputs.map((name) => [name, all[name]]));
      },
      ...(precision === 'bf16' && { tolerance: 1e-2 }),
    },
  );
}

/** Ranks and sizes that fill tiles and such that do not. */
const LORA_SHAPES: readonly (readonly [rows: number, cols: number, r: number])[] = [
  [1, 1, 1],
  [7, 17, 3],
  [5, 24, 8],
  [70, 200, 8],
  [33, 136, 16],
  [300, 264, 24],
  [130, 136, 4],
  [70, 264, 2],
  [300, 72, 7],
  [90, 200, 20],
  [150, 520, 64],
  [40, 100, 100],
];

export const loraCases = {
  loraDown: LORA_SHAPES.flatMap((shape) => [
    loraCase(...shape, 'u'),
    loraCase(...shape, 'u', { precision: 'bf16' }),
    loraCase(...shape, 'u', { masked: false }),
  ]),
  loraDownBackward: LORA_SHAPES.flatMap((shape) => [
    ...(['dA', 'dx', 'dA, dx', 'dA, dx accumulated'] as const).map((into) => loraCase(...shape, into)),
    loraCase(...shape, 'dA, dx', { precision: 'bf16' }),
    loraCase(...shape, 'dA, dx', { masked: false }),
    loraCase(...shape, 'dA, dx accumulated', { masked: false }),
  ]),
  loraUpBackward: LORA_SHAPES.flatMap((shape) => [
    loraCase(...shape, 'du'),
    loraCase(...shape, 'du, dB'),
    loraCase(...shape, 'du, dB', { precision: 'bf16' }),
  ]),
} as const;
