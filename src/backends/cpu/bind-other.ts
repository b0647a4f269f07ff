/**
 * The C kernels besides the matrix products and NF4, as entries of the contract's table: what each C function is called and takes,
 * stated once. Device memory is the process's own, so that a span is an address; a call enqueues.
 */

import { BYTES_PER_ELEMENT } from '../span.js';
import type { Activation, AttentionShape, DistanceBias, Kernels } from '../kernels.js';
import type { LoraKernels } from '../lora.js';
import { address, DTYPE_CODE } from './library.js';
import type { Queue } from './queue.js';

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
  return {
    ...bindNorms(queue),
    ...bindAttention(queue),
    ...bindLoss(queue),
    ...bindElements(queue),
    ...bindOptimizer(queue),
  };
}

/** Embeddings, noise and norms. */
function bindNorms(
  queue: Queue,
): Pick<
  OtherKernels,
  | 'embedding'
  | 'embeddingBackward'
  | 'fillNormal'
  | 'addUniformNoise'
  | 'rmsNorm'
  | 'rmsNormBackward'
  | 'layerNorm'
  | 'layerNormBackward'
> {
  const embedding = queue.kernel('ww_embedding');
  const embeddingBackward = queue.kernel('ww_embedding_backward');
  const fillNormal = queue.kernel('ww_fill_normal');
  const addUniformNoise = queue.kernel('ww_add_uniform_noise');
  const rmsNorm = queue.kernel('ww_rms_norm');
  const rmsNormBackward = queue.kernel('ww_rms_norm_backward');
  const layerNorm = queue.kernel('ww_layer_norm');
  const layerNormBackward = queue.kernel('ww_layer_norm_backward');
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
  };
}

/** Rotary embedding, attention and its cache. */
function bindAttention(
  queue: Queue,
): Pick<OtherKernels, 'rope' | 'attention' | 'attentionBackward' | 'cacheWrite' | 'attentionCached'> {
  const rope = queue.kernel('ww_rope');
  const attention = queue.kernel('ww_attention');
  const attentionBackward = queue.kernel('ww_attention_backward');
  const cacheWrite = queue.kernel('ww_cache_write');
  const attentionCached = queue.kernel('ww_attention_cached');
  return {
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
  };
}

/** What comes behind the output head. */
function bindLoss(queue: Queue): Pick<OtherKernels, 'crossEntropy' | 'sample' | 'argmax'> {
  const crossEntropy = queue.kernel('ww_cross_entropy');
  const sample = queue.kernel('ww_sample');
  const argmax = queue.kernel('ww_argmax');
  const copy = queue.kernel('ww_copy');
  return {
    crossEntropy({ logits, targets, losses, rows, vocab, smoothing = 0, gradient }) {
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
        smoothing,
        flag(gradient !== undefined),
      );
    },
    sample({ logits, draws, out, rows, vocab, temperature, topK, topP }) {
      sample(address(logits), address(draws), address(out), rows, vocab, temperature, topK, topP);
    },
    argmax({ x, out, rows, cols }) {
      argmax(address(x), address(out), rows, cols);
    },
  };
}

/** Elements, rows by their numbers, and sums. */
function bindElements(
  queue: Queue,
): Pick<
  OtherKernels,
  | 'activate'
  | 'activateBackward'
  | 'gatedUnit'
  | 'gatedUnitBackward'
  | 'gatherRows'
  | 'scatterRows'
  | 'add'
  | 'scale'
  | 'copy'
  | 'fill'
  | 'sumRows'
  | 'dropout'
> {
  const gatedUnit = queue.kernel('ww_gated_unit');
  const gatedUnitBackward = queue.kernel('ww_gated_unit_backward');
  const activate = queue.kernel('ww_activate');
  const activateBackward = queue.kernel('ww_activate_backward');
  const gatherRows = queue.kernel('ww_gather_rows');
  const scatterRows = queue.kernel('ww_scatter_rows');
  const add = queue.kernel('ww_add');
  const scale = queue.kernel('ww_scale');
  const copy = queue.kernel('ww_copy');
  const fill = queue.kernel('ww_fill');
  const sumRows = queue.kernel('ww_sum_rows');
  const dropout = queue.kernel('ww_dropout');
  return {
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
  };
}

/** The optimizer. */
function bindOptimizer(queue: Queue): Pick<OtherKernels, 'sumSquares' | 'clipCoefficient' | 'adamw'> {
  const sumSquares = queue.kernel('ww_sum_squares');
  const clipCoefficient = queue.kernel('ww_clip_coefficient');
  const adamw = queue.kernel('ww_adamw');
  return {
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
