/**
 * The C kernels besides the matrix products and NF4, as entries of the contract's table: what each C function is called and takes,
 * stated once. Device memory is the process's own, so that a span is an address; a call enqueues.
 */

import { BYTES_PER_ELEMENT } from '../span.js';
import type { Activation, AttentionShape, DistanceBias, Kernels } from '../kernels.js';
import type { LoraKernels } from '../lora.js';
import { address, DTYPE_CODE } from './library.js';
import type { Enqueue, Queue } from './queue.js';

export type OtherKernels = Omit<
  Kernels,
  'gemm' | 'gemms' | keyof LoraKernels | 'quantizeNf4' | 'quantizeScales' | 'dequantizeNf4' | 'convert'
>;

/** As src/backends/cpu/kernels/activation.c numbers them. */
const ACTIVATIONS: Readonly<Record<Activation, number>> = { gelu: 0, gelu_tanh: 1, relu: 2 };

function flag(value: boolean): number {
  return value ? 1 : 0;
}

/** Arguments of both whole-sequence attention kernels behind their tensors. */
function attentionShape(shape: AttentionShape): number[] {
  const { batch, length, heads, kvHeads, headDim, scale, window, causal, keys, bias } = shape;
  return [
    ...[batch, length, heads, kvHeads, headDim, scale, window, flag(causal)],
    ...(keys ? [address(keys.segments), keys.length] : [0, length]),
    ...biasArguments(bias),
  ];
}

function biasArguments(bias: DistanceBias | undefined): [values: number, reach: number] {
  return bias ? [address(bias.values), bias.reach] : [0, 1];
}

/** Binds every kernel that is no matrix product and knows no NF4. */
export function bindOther(queue: Queue): OtherKernels {
  const kernel = (name: string): Enqueue => queue.kernel(name);

  const embedding = kernel('ww_embedding');
  const embeddingBackward = kernel('ww_embedding_backward');
  const fillNormal = kernel('ww_fill_normal');
  const addUniformNoise = kernel('ww_add_uniform_noise');
  const rmsNorm = kernel('ww_rms_norm');
  const rmsNormBackward = kernel('ww_rms_norm_backward');
  const gatedUnit = kernel('ww_gated_unit');
  const gatedUnitBackward = kernel('ww_gated_unit_backward');
  const layerNorm = kernel('ww_layer_norm');
  const layerNormBackward = kernel('ww_layer_norm_backward');
  const activate = kernel('ww_activate');
  const activateBackward = kernel('ww_activate_backward');
  const rope = kernel('ww_rope');
  const attention = kernel('ww_attention');
  const attentionBackward = kernel('ww_attention_backward');
  const cacheWrite = kernel('ww_cache_write');
  const attentionCached = kernel('ww_attention_cached');
  const crossEntropy = kernel('ww_cross_entropy');
  const sample = kernel('ww_sample');
  const argmax = kernel('ww_argmax');
  const gatherRows = kernel('ww_gather_rows');
  const scatterRows = kernel('ww_scatter_rows');
  const add = kernel('ww_add');
  const scale = kernel('ww_scale');
  const copy = kernel('ww_copy');
  const fill = kernel('ww_fill');
  const sumRows = kernel('ww_sum_rows');
  const dropout = kernel('ww_dropout');
  const sumSquares = kernel('ww_sum_squares');
  const clipCoefficient = kernel('ww_clip_coefficient');
  const adamw = kernel('ww_adamw');

  return {
    embedding({ table, ids, y, rows }) {
      embedding(
        address(table.data),
        DTYPE_CODE[table.data.dtype],
        address(ids),
        address(y),
        rows,
        table.cols,
      );
    },
    embeddingBackward({ ids, dy, dTable, rows, dim }) {
      embeddingBackward(address(ids), address(dy), address(dTable), rows, dim);
    },
    fillNormal({ y, n, deviation, random: { seed, stream, step } }) {
      const type = DTYPE_CODE[y.dtype];
      fillNormal(address(y), type, n, deviation, seed, stream, step);
    },
    addUniformNoise({ x, magnitude, rows, dim, random }) {
      addUniformNoise(address(x), address(magnitude), rows, dim, random.seed, random.stream, random.step);
    },
    rmsNorm({ x, w, weightOffset, y, rstd, rows, dim, eps }) {
      rmsNorm(address(x), address(w), address(y), address(rstd), rows, dim, eps, weightOffset);
    },
    rmsNormBackward({ dy, x, w, weightOffset, rstd, dx, accumulate, dw, rows, dim }) {
      const dwAt = dw ? address(dw) : 0;
      const rstdAt = address(rstd);
      rmsNormBackward(
        address(dy),
        address(x),
        address(w),
        rstdAt,
        address(dx),
        flag(accumulate),
        dwAt,
        rows,
        dim,
        weightOffset,
      );
    },
    layerNorm({ x, w, b, y, mean, rstd, rows, dim, eps }) {
      layerNorm(...[x, w, b, y, mean, rstd].map(address), rows, dim, eps);
    },
    layerNormBackward({ dy, x, w, mean, rstd, dx, accumulate, dw, db, rows, dim }) {
      const gradients = [dw ? address(dw) : 0, db ? address(db) : 0];
      const spans = [dy, x, w, mean, rstd, dx].map(address);
      layerNormBackward(...spans, flag(accumulate), ...gradients, rows, dim);
    },
    activate({ x, y, n, activation }) {
      activate(address(x), address(y), n, ACTIVATIONS[activation]);
    },
    activateBackward({ dy, x, dx, n, activation }) {
      activateBackward(address(dy), address(x), address(dx), n, ACTIVATIONS[activation]);
    },
    gatedUnit({ activation, gate, up, y, n }) {
      gatedUnit(address(gate), address(up), address(y), n, flag(activation === 'gelu_tanh'));
    },
    gatedUnitBackward({ activation, dy, gate, up, dGate, dUp, n }) {
      const spans = [dy, gate, up, dGate, dUp].map(address);
      gatedUnitBackward(...spans, n, flag(activation === 'gelu_tanh'));
    },
    rope({ x, y, cos, sin, positions, rows, heads, headDim, rotaryDim, inverse }) {
      const tables = [address(cos), address(sin), address(positions)];
      rope(address(x), address(y), ...tables, rows, heads, headDim, rotaryDim, flag(inverse));
    },
    attention(args) {
      const { q, k, v, segments, out, lse } = args;
      attention(...[q, k, v, segments, out, lse].map(address), ...attentionShape(args));
    },
    attentionBackward(args) {
      const { q, k, v, segments, out, dOut, lse, dq, dk, dv, dBias } = args;
      const spans = [q, k, v, segments, out, dOut, lse, dq, dk, dv].map(address);
      attentionBackward(...spans, ...attentionShape(args), dBias ? address(dBias) : 0);
    },
    cacheWrite({ x, cache, slotOf, positions, rows, capacity, kvHeads, headDim }) {
      const bf16 = DTYPE_CODE[cache.dtype];
      const spans = [x, cache, slotOf, positions].map(address);
      cacheWrite(...spans, rows, capacity, kvHeads * headDim, bf16);
    },
    attentionCached(args) {
      const { q, keys, values, slotOf, positions, out } = args;
      const bf16 = DTYPE_CODE[keys.dtype];
      const spans = [q, keys, values, slotOf, positions, out].map(address);
      const { rows, heads, kvHeads, headDim, capacity, window } = args;
      attentionCached(
        ...spans,
        rows,
        heads,
        kvHeads,
        headDim,
        capacity,
        args.scale,
        window,
        bf16,
        ...biasArguments(args.bias),
      );
    },
    crossEntropy({ logits, targets, losses, rows, vocab, gradient }) {
      // The C kernel turns logits into their gradient in place.
      let from = address(logits);
      if (gradient && address(gradient.to) !== from) {
        from = address(gradient.to);
        copy(address(logits), from, rows * vocab * 4);
      }
      crossEntropy(
        from,
        address(targets),
        address(losses),
        rows,
        vocab,
        gradient?.scale ?? 0,
        flag(gradient !== undefined),
      );
    },
    sample({ logits, draws, out, rows, vocab, temperature, topK, topP }) {
      sample(address(logits), address(draws), address(out), rows, vocab, temperature, topK, topP);
    },
    argmax({ x, out, rows, cols }) {
      argmax(address(x), address(out), rows, cols);
    },
    gatherRows({ x, index, y, rows, dim }) {
      gatherRows(address(x), address(index), address(y), rows, dim);
    },
    scatterRows({ x, index, y, rows, dim }) {
      scatterRows(address(x), address(index), address(y), rows, dim);
    },
    add({ a: left, b, y, n }) {
      add(address(left), address(b), address(y), n);
    },
    scale({ x, y, n, alpha }) {
      scale(address(x), address(y), n, alpha);
    },
    copy({ x, y, n }) {
      copy(address(x), address(y), n * BYTES_PER_ELEMENT[x.dtype]);
    },
    fill({ y, n, value }) {
      fill(address(y), n, value);
    },
    sumRows({ x, y, rows, cols, accumulate }) {
      sumRows(address(x), address(y), rows, cols, flag(accumulate));
    },
    dropout({ x, y, n, p, random, firstElement, accumulate }) {
      const { seed, stream, step } = random;
      dropout(address(x), address(y), n, p, seed, stream, step, firstElement, flag(accumulate));
    },
    sumSquares({ x, n, out, accumulate }) {
      sumSquares(address(x), n, address(out), flag(accumulate));
    },
    clipCoefficient({ sumSquares: sum, maxNorm, out }) {
      clipCoefficient(address(sum), maxNorm, address(out));
    },
    adamw({ param, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale }) {
      const spans = [param, grad, m, v].map(address);
      adamw(...spans, n, lr, beta1, beta2, eps, weightDecay, step, address(gradScale));
    },
  };
}
