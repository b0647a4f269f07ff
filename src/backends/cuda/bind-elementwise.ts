/** Kernels that treat each element alone: sums, scaling, copies, the gated unit, and all that draws random numbers. */

import { BYTES_PER_ELEMENT, type DType } from '../span.js';
import type { Activation, GateActivation, Kernels } from '../kernels.js';
import {
  aligned,
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
import { address, type CudaDevice } from './device.js';

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
      const { dtype } = y;
      const at = [address(a), address(b), address(y)];
      const vector = aligned(...at);
      add(dtype).launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    scale({ x, y, n, alpha }) {
      const { dtype } = y;
      const at = [address(x), address(y)];
      const vector = aligned(...at);
      scale(dtype).launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, alpha, vector);
    },
    copy({ x, y, n }) {
      const at = [address(x), address(y)];
      const bytes = n * BYTES_PER_ELEMENT[y.dtype];
      const unit = unitOf(...at);
      copy(unit.type).launch(elementGrid(bytes, unit.bytes, 1), BLOCK, 0, ...at, bytes);
    },
    fill({ y, n, value }) {
      const at = address(y);
      const vector = aligned(at);
      fill(y.dtype).launch(elementGrid(n, lanes(y.dtype), vector), BLOCK, 0, at, n, value, vector);
    },
    activate({ x, y, n, activation }) {
      const { dtype } = y;
      const at = [address(x), address(y)];
      const vector = aligned(...at);
      const kernel = activate(activationDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    activateBackward({ dy, x, dx, n, activation }) {
      const { dtype } = dy;
      const at = [address(dy), address(x), address(dx)];
      const vector = aligned(...at);
      const kernel = activateBackward(activationDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    gatedUnit({ activation, gate, up, y, n }) {
      const { dtype } = y;
      const at = [address(gate), address(up), address(y)];
      const vector = aligned(...at);
      const kernel = gatedUnit(gateDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    gatedUnitBackward({ activation, dy, gate, up, dGate, dUp, n }) {
      const { dtype } = dy;
      const at = [dy, gate, up, dGate, dUp].map(address);
      const vector = aligned(...at);
      const kernel = gatedUnitBackward(gateDefines(dtype, activation));
      kernel.launch(elementGrid(n, lanes(dtype), vector), BLOCK, 0, ...at, n, vector);
    },
    dropout(args) {
      const { x, y, n, random, firstElement, accumulate } = args;
      const { dtype } = y;
      const at = [address(x), address(y)];
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
      const at = address(y);
      const grid = blocks(Math.ceil(n / 4));
      fillNormal(cType(y.dtype)).launch(grid, BLOCK, 0, at, n, deviation, ...randomArguments(random));
    },
    addUniformNoise({ x, magnitude, rows, dim, random }) {
      const { dtype } = x;
      const at = address(x);
      const by = address(magnitude);
      const width = lanes(dtype);
      const vector = dim % width === 0 ? aligned(at) : 0;
      const { grid, shift } = rowLayout(rows, dim / (vector ? width : 1));
      noise(dtype).launch(grid, BLOCK, 0, at, by, rows, dim, ...randomArguments(random), shift, vector);
    },
  };
}
