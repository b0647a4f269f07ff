/** Kernels that treat each element alone: sums, scaling, copies, the gated unit, and all that draws random numbers. */

import { BYTES_PER_ELEMENT, type DType } from '../contract.js';
import type { Activation, GateActivation, Kernels } from '../kernels.js';
import {
  aligned,
  argumentsOf,
  BLOCK,
  blocks,
  byActivation,
  cType,
  elementGrid,
  family,
  keepThreshold,
  keyedFamily,
  lanes,
  randomArguments,
  rowLayout,
} from './arguments.js';
import type { Defines } from './compile.js';
import type { CudaDevice } from './device.js';

type ElementwiseKernels = Pick<
  Kernels,
  | 'add'
  | 'scale'
  | 'copy'
  | 'fill'
  | 'activate'
  | 'activateBackward'
  | 'gatedUnit'
  | 'gatedUnitBackward'
  | 'dropout'
  | 'fillNormal'
  | 'addUniformNoise'
>;

/** The largest unit of memory that divides all of some addresses and sizes. */
export function unitOf(...sizes: number[]): { type: string; bytes: number } {
  const divides = (bytes: number): boolean => sizes.every((size) => size % bytes === 0);
  if (divides(16)) return { type: 'uint4', bytes: 16 };
  if (divides(4)) return { type: 'u32', bytes: 4 };
  return divides(2) ? { type: 'u16', bytes: 2 } : { type: 'u8', bytes: 1 };
}

function gateDefines(dtype: DType, activation: GateActivation): Defines {
  return { ACTIVATION: cType(dtype), ...(activation === 'gelu_tanh' && { GELU: 1 }) };
}

function activationDefines(dtype: DType, activation: Activation): Defines {
  return {
    ACTIVATION: cType(dtype),
    ...(activation === 'gelu_tanh' && { TANH: 1 }),
    ...(activation === 'relu' && { RELU: 1 }),
  };
}

export function bindElementwise(device: CudaDevice): ElementwiseKernels {
  const add = byActivation(device, 'elementwise', 'ww_add', 'pppli');
  const scale = byActivation(device, 'elementwise', 'ww_scale', 'pplfi');
  const fill = byActivation(device, 'elementwise', 'ww_fill', 'plfi');
  const activate = keyedFamily(device, 'activation', 'ww_activate', 'ppli');
  const activateBackward = keyedFamily(device, 'activation', 'ww_activate_backward', 'pppli');
  const gatedUnit = keyedFamily(device, 'elementwise', 'ww_gated_unit', 'pppli');
  const gatedUnitBackward = keyedFamily(device, 'elementwise', 'ww_gated_unit_backward', 'pppppli');
  const dropout = byActivation(device, 'random', 'ww_dropout', 'pplufuuulii');
  const noise = byActivation(device, 'random', 'ww_add_uniform_noise', 'ppiiuuuii');
  const copy = family(device, 'elementwise', 'ww_copy', 'ppl', (UNIT) => ({ UNIT }));
  const fillNormal = family(device, 'random', 'ww_fill_normal', 'plduuu', (OUT) => ({ OUT }));

  return {
    add({ a, b, y, n }) {
      const take = argumentsOf('add');
      const { dtype } = y;
      take('y', y, n, 'f32', 'bf16');
      const at = [take('a', a, n, dtype), take('b', b, n, dtype), take('y', y, n, dtype)];
      const vector = aligned(...at);
      add(dtype).launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    scale({ x, y, n, alpha }) {
      const take = argumentsOf('scale');
      const { dtype } = y;
      const at = [take('x', x, n, dtype), take('y', y, n, 'f32', 'bf16')];
      const vector = aligned(...at);
      scale(dtype).launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, alpha, vector);
    },
    copy({ x, y, n }) {
      const take = argumentsOf('copy');
      const at = [take('x', x, n, y.dtype), take('y', y, n, y.dtype)];
      const bytes = n * BYTES_PER_ELEMENT[y.dtype];
      const unit = unitOf(...at);
      copy(unit.type).launch(elementGrid(bytes, unit.bytes, 1), BLOCK, 0, ...at, bytes);
    },
    fill({ y, n, value }) {
      const at = argumentsOf('fill')('y', y, n, 'f32', 'bf16');
      const vector = aligned(at);
      fill(y.dtype).launch(elementGrid(n, lanes(y.dtype), vector), BLOCK, 0, at, n, value, vector);
    },
    activate({ x, y, n, activation }) {
      const take = argumentsOf('activate');
      const { dtype } = y;
      const at = [take('x', x, n, dtype), take('y', y, n, 'f32', 'bf16')];
      const vector = aligned(...at);
      const kernel = activate(activationDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    activateBackward({ dy, x, dx, n, activation }) {
      const take = argumentsOf('activateBackward');
      const { dtype } = dy;
      const at = [take('dy', dy, n, 'f32', 'bf16'), take('x', x, n, dtype), take('dx', dx, n, dtype)];
      const vector = aligned(...at);
      const kernel = activateBackward(activationDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    gatedUnit({ activation, gate, up, y, n }) {
      const take = argumentsOf('gatedUnit');
      const { dtype } = y;
      take('y', y, n, 'f32', 'bf16');
      const at = [take('gate', gate, n, dtype), take('up', up, n, dtype), take('y', y, n, dtype)];
      const vector = aligned(...at);
      const kernel = gatedUnit(gateDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    gatedUnitBackward({ activation, dy, gate, up, dGate, dUp, n }) {
      const take = argumentsOf('gatedUnitBackward');
      const { dtype } = dy;
      take('dy', dy, n, 'f32', 'bf16');
      const spans = Object.entries({ dy, gate, up, dGate, dUp });
      const at = spans.map(([name, span]) => take(name, span, n, dtype));
      const vector = aligned(...at);
      const kernel = gatedUnitBackward(gateDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    dropout(args) {
      const { x, y, n, random, firstElement, accumulate } = args;
      const take = argumentsOf('dropout');
      const { dtype } = y;
      const at = [take('x', x, n, dtype), take('y', y, n, 'f32', 'bf16')];
      const vector = aligned(...at);
      dropout(dtype).launch(
        elementGrid(n, lanes(dtype), vector),
        BLOCK,
        0,
        ...at,
        n,
        keepThreshold(args),
        1 / (1 - args.p),
        ...randomArguments(random),
        firstElement,
        accumulate ? 1 : 0,
        vector,
      );
    },
    fillNormal({ y, n, deviation, random }) {
      const at = argumentsOf('fillNormal')('y', y, n, 'f32', 'bf16', 'f16');
      const grid = blocks(Math.ceil(n / 4));
      fillNormal(cType(y.dtype)).launch(grid, BLOCK, 0, at, n, deviation, ...randomArguments(random));
    },
    addUniformNoise({ x, magnitude, rows, dim, random }) {
      const take = argumentsOf('addUniformNoise');
      const { dtype } = x;
      const at = take('x', x, rows * dim, 'f32', 'bf16');
      const by = take('magnitude', magnitude, rows, 'f32');
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(at) : 0;
      const { grid, shift } = rowLayout(rows, dim / (vector ? width : 1));
      noise(dtype).launch(grid, BLOCK, 0, at, by, rows, dim, ...randomArguments(random), shift, vector);
    },
  };
}
