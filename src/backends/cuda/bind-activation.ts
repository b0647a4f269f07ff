/** What stands between a layer's products, and its gradient: activations and gated units. */

import type { DType } from '../span.js';
import type { Activation, GateActivation, Kernels } from '../kernels.js';
import { aligned, BLOCK, cType, elementGrid, keyedFamily, lanes } from './arguments.js';
import type { Defines } from './compile.js';
import { address, type CudaDevice } from './device.js';

type ActivationKernels = Pick<Kernels, 'activate' | 'activateBackward' | 'gatedUnit' | 'gatedUnitBackward'>;

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

export function bindActivations(device: CudaDevice): ActivationKernels {
  const activate = keyedFamily(device, 'activation', 'ww_activate', 'ppli');
  const activateBackward = keyedFamily(device, 'activation', 'ww_activate_backward', 'pppli');
  const gatedUnit = keyedFamily(device, 'elementwise', 'ww_gated_unit', 'pppli');
  const gatedUnitBackward = keyedFamily(device, 'elementwise', 'ww_gated_unit_backward', 'pppppli');

  return {
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
  };
}
