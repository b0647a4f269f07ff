/**
 * The contract in plain TypeScript: every kernel as the clearest statement of its mathematics, summed in double precision and stored
 * in float32. The oracle of the other backends, and the last resort on a machine without a compiler.
 */

import { freemem } from 'node:os';
import { checkedBackend, type CheckedBackend } from '../checked.js';
import type { Backend } from '../contract.js';
import type { Kernels } from '../kernels.js';
import { loraByGemm } from '../lora.js';
import { activate, activateBackward } from './activation.js';
import { attention, attentionBackward } from './attention.js';
import { attentionCached, cacheWrite } from './attention-cached.js';
import { add, convert, copy, fill, gatedUnit, gatedUnitBackward, scale, sumRows } from './elementwise.js';
import { gemm } from './gemm.js';
import { argmax, crossEntropy } from './loss.js';
import { bytesOf, Memory } from './memory.js';
import { dequantizeNf4, quantizeNf4, quantizeScales } from './nf4.js';
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from './norm.js';
import { adamw, clipCoefficient, sumSquares } from './optimizer.js';
import { addUniformNoise, dropout, fillNormal } from './random.js';
import { rope } from './rope.js';
import { embedding, embeddingBackward, gatherRows, scatterRows } from './rows.js';
import { sample } from './sample.js';
import { widen } from './widen.js';

const { loraDown, loraDownBackward, loraUpBackward } = loraByGemm({
  gemm,
  dropout,
  alloc: (bytes) => ({ bytes, handle: new ArrayBuffer(bytes) }),
  free: () => undefined,
});

const kernels: Kernels = {
  gemm: widen(gemm),
  gemms: ({ products }) => products.forEach(widen(gemm)),
  loraDown: widen(loraDown),
  loraDownBackward: widen(loraDownBackward),
  loraUpBackward: widen(loraUpBackward),
  quantizeNf4,
  quantizeScales,
  dequantizeNf4,
  convert,
  embedding: widen(embedding),
  embeddingBackward: widen(embeddingBackward),
  fillNormal,
  addUniformNoise: widen(addUniformNoise),
  rmsNorm: widen(rmsNorm),
  rmsNormBackward: widen(rmsNormBackward),
  layerNorm: widen(layerNorm),
  layerNormBackward: widen(layerNormBackward),
  activate: widen(activate),
  activateBackward: widen(activateBackward),
  gatedUnit: widen(gatedUnit),
  gatedUnitBackward: widen(gatedUnitBackward),
  rope: widen(rope),
  attention: widen(attention),
  attentionBackward: widen(attentionBackward),
  cacheWrite: widen(cacheWrite),
  attentionCached: widen(attentionCached),
  crossEntropy: widen(crossEntropy),
  argmax,
  sample,
  gatherRows: widen(gatherRows),
  scatterRows: widen(scatterRows),
  add: widen(add),
  scale: widen(scale),
  copy,
  fill: widen(fill),
  sumRows: widen(sumRows),
  dropout: widen(dropout),
  sumSquares,
  clipCoefficient,
  adamw,
};

/** A new reference backend, with its own count of memory. */
export function createReferenceBackend(): CheckedBackend {
  const memory = new Memory();
  const backend: Backend = {
    name: 'reference',
    description: 'plain TypeScript, 1 thread',
    arithmetic: 'reference',
    fastBf16: false,
    activations: 'f32',
    runsAhead: false,
    batchInvariant: true,
    kernels,
    alloc: (bytes) => memory.alloc(bytes),
    free: (buffer) => memory.free(buffer),
    upload(data, to) {
      bytesOf(to).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    },
    download: (from) => Promise.resolve(bytesOf(from).slice()),
    synchronize: () => Promise.resolve(),
    abortable: (_, body) => body(),
    record: (body) => ({ run: body, dispose: () => undefined }),
    staging: (bytes) => new Uint8Array(bytes),
    available: () => freemem(),
    memory: () => memory.use(),
    resetPeak: () => memory.resetPeak(),
    // Nothing is kept in reserve.
    trim: () => undefined,
  };
  // The kernels take bf16 as well, as the oracle of backends that have it; a model here keeps f32.
  return checkedBackend(backend, { activations: ['f32', 'bf16'], headDim: Infinity });
}
