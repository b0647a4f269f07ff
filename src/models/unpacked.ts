/**
 * Unpacked copies of packed weights, for as long as a training or a generation lasts and as far as memory goes: a product over many rows
 * then reads two bytes a weight in place of unpacking them each time.
 */

import { formatOf } from '../quant/formats.js';
import { Tensor } from '../tensor/tensor.js';
import type { CausalLM } from './model.js';

export interface UnpackedWeights {
  /** What they take. */
  readonly bytes: number;
  dispose(): void;
}

/** Unpacks the model's packed weights to bf16, in the order of the forward pass, while they fit into `room` bytes. */
export function unpackWeights(model: CausalLM, room: number): UnpackedWeights {
  const { backend } = model;
  const undo: (() => void)[] = [];
  let bytes = 0;
  for (const linear of model.linears.values()) {
    const packed = linear.weight;
    const { rows, cols } = packed;
    if (packed.kind === 'dense' || bytes + rows * cols * 2 > room) continue;
    const data = Tensor.empty(backend, [rows, cols], 'bf16');
    formatOf(packed).unpack(backend, packed, data);
    linear.weight = { ...packed, dense: { kind: 'dense', rows, cols, data } };
    bytes += data.buffer.bytes;
    undo.push(() => {
      linear.weight = packed;
      data.release();
    });
  }
  return { bytes, dispose: () => undo.forEach((u) => u()) };
}
