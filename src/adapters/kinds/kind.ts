/** What a kind of adapter is: its tensors on a Linear, where they start, the operation that they are, and what merging makes of them. */

import type { Parameter } from '../../autograd/parameter.js';
import type { Matrix } from '../../backends/span.js';
import type { LinearAdapter } from '../../ops/adapter.js';
import type { Tensor } from '../../tensor/tensor.js';

/** What the shapes of an adapter's tensors come from. */
interface ModuleShape {
  readonly r: number;
  readonly inFeatures: number;
  /** The Linear's, or those of the table that comes in its place. */
  readonly outFeatures: number;
}

/** A Linear that an adapter is on. */
export interface AdaptedModule extends ModuleShape {
  readonly name: string;
  /** What the update is multiplied by. */
  readonly scaling: number;
  /** Its stream of random numbers. */
  readonly stream: number;
}

/** A tensor of each module, f32. */
interface AdapterTensor {
  readonly shape: (module: ModuleShape) => readonly number[];
  /** What it begins as, where no adapter is gone on from: numbers, or what a device makes of the base's weight [out, in]. */
  readonly start: (
    module: AdaptedModule,
    seed: number,
    weight: Matrix,
  ) => Float32Array | ((to: Tensor) => void);
  /** How a raw state dict of PEFT's spells its name. */
  readonly raw: string;
}

/** `T`: the tensors by PEFT's names for them, behind the module's. */
export interface AdapterKind<T extends string = string> {
  /** PEFT's switches that say it in adapter_config.json; none: LoRA itself. */
  readonly peft: Readonly<Record<string, boolean>>;
  /** In the order in which they lie in memory, are updated and saved. */
  readonly tensors: Readonly<Record<T, AdapterTensor>>;
  operation(
    parameters: Readonly<Record<T, Parameter>>,
    module: AdaptedModule,
    dropout: number,
  ): LinearAdapter;
  /** Makes of the base's weight, f32 [out, in], what it is with the adapter. */
  merge(weight: Tensor, tensors: Readonly<Record<T, Tensor>>, scaling: number): void;
}
