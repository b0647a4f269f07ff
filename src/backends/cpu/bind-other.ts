/**
 * The C kernels besides the matrix products and NF4, as entries of the contract's table: what each C function is called and takes,
 * stated once. Device memory is the process's own, so that a span is an address, and every call is done when it returns.
 */

import { BYTES_PER_ELEMENT } from '../contract.js';
import type { Activation, AttentionShape, DistanceBias, Kernels } from '../kernels.js';
import { fillNormal as fillNormalInto } from '../reference/random.js';
import type { LoraKernels } from '../lora.js';
import { address, bytesOf, declare as declareIn, DTYPE_CODE, type Library } from './library.js';

export type OtherKernels = Omit<
  Kernels,
  'gemm' | 'gemms' | keyof LoraKernels | 'quantizeNf4' | 'quantizeScales' | 'dequantizeNf4' | 'convert'
>;

/** As src/backends/cpu/kernels/activation.c numbers them. */
const ACTIVATIONS: Readonly<Record<Activation, number>> = { gelu: 0, gelu_tanh: 1, relu: 2 };

function flag(value: boolean): number {
  return value ? 1 : 0;
}

/** Parameters of both whole-sequence attention kernels behind their tensors. */
const ATTENTION_SHAPE =
  'int64_t batch, int64_t length, int64_t heads, int64_t kvHeads, int64_t headDim, float scale, int64_t window, ' +
  'int causal, uint64_t keySegments, int64_t keyLength, uint64_t bias, int64_t reach';

/** Their arguments. */
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

const RANDOM = 'uint32_t seed, uint32_t stream, uint32_t step';

/** Parameters that are addresses. */
function a(names: string): string {
  const parameters = names.split(' ').map((name) => `uint64_t ${name}`);
  return parameters.join(', ');
}

/** Binds every kernel that is no matrix product and knows no NF4. */
export function bindOther(library: Library): OtherKernels {
  const declare = (prototype: string): ((...args: number[]) => void) => declareIn(library, prototype);

  const embedding = declare(
    `void ww_embedding(${a('table')}, int64_t type, ${a('ids y')}, int64_t rows, int64_t dim)`,
  );
  const embeddingBackward = declare(
    `void ww_embedding_backward(${a('ids dy dTable')}, int64_t rows, int64_t dim)`,
  );
  const addUniformNoise = declare(
    `void ww_add_uniform_noise(${a('x magnitude')}, int64_t rows, int64_t dim, ${RANDOM})`,
  );
  const rmsNorm = declare(
    `void ww_rms_norm(${a('x w y rstd')}, int64_t rows, int64_t dim, float eps, float offset)`,
  );
  const rmsNormBackward = declare(
    `void ww_rms_norm_backward(${a('dy x w rstd dx')}, int accumulate, ${a('dw')}, int64_t rows, int64_t dim, float offset)`,
  );
  const gatedUnit = declare(`void ww_gated_unit(${a('gate up y')}, int64_t n, int gelu)`);
  const gatedUnitBackward = declare(
    `void ww_gated_unit_backward(${a('dy gate up dGate dUp')}, int64_t n, int gelu)`,
  );
  const layerNorm = declare(
    `void ww_layer_norm(${a('x w b y mean rstd')}, int64_t rows, int64_t dim, float eps)`,
  );
  const layerNormBackward = declare(
    `void ww_layer_norm_backward(${a('dy x w mean rstd dx')}, int accumulate, ${a('dw db')}, int64_t rows, int64_t dim)`,
  );
  const activate = declare(`void ww_activate(${a('x y')}, int64_t n, int kind)`);
  const activateBackward = declare(`void ww_activate_backward(${a('dy x dx')}, int64_t n, int kind)`);
  const rope = declare(
    `void ww_rope(${a('x y cos sin positions')}, int64_t rows, int64_t heads, int64_t headDim, int64_t rotaryDim, int inverse)`,
  );
  const attention = declare(`void ww_attention(${a('q k v segments out lse')}, ${ATTENTION_SHAPE})`);
  const attentionBackward = declare(
    `void ww_attention_backward(${a('q k v segments out dOut lse dq dk dv')}, ${ATTENTION_SHAPE}, uint64_t dBias)`,
  );
  const cacheWrite = declare(
    `void ww_cache_write(${a('x cache slotOf positions')}, int64_t rows, int64_t capacity, int64_t dim, int bf16)`,
  );
  const attentionCached = declare(
    `void ww_attention_cached(${a('q keys values slotOf positions out')}, int64_t rows, int64_t heads, ` +
      'int64_t kvHeads, int64_t headDim, int64_t capacity, float scale, int64_t window, int bf16, ' +
      'uint64_t bias, int64_t reach)',
  );
  const crossEntropy = declare(
    `void ww_cross_entropy(${a('logits targets losses')}, int64_t rows, int64_t vocab, float gradScale, int gradient)`,
  );
  const sample = declare(
    `void ww_sample(${a('logits draws out')}, int64_t rows, int64_t vocab, double temperature, int64_t topK, double topP)`,
  );
  const argmax = declare(`void ww_argmax(${a('x out')}, int64_t rows, int64_t cols)`);
  const gatherRows = declare(`void ww_gather_rows(${a('x index y')}, int64_t rows, int64_t dim)`);
  const scatterRows = declare(`void ww_scatter_rows(${a('x index y')}, int64_t rows, int64_t dim)`);
  const add = declare(`void ww_add(${a('a b y')}, int64_t n)`);
  const scale = declare(`void ww_scale(${a('x y')}, int64_t n, float alpha)`);
  const copy = declare(`void ww_copy(${a('x y')}, int64_t bytes)`);
  const fill = declare(`void ww_fill(${a('y')}, int64_t n, float value)`);
  const sumRows = declare(`void ww_sum_rows(${a('x y')}, int64_t rows, int64_t cols, int accumulate)`);
  const dropout = declare(
    `void ww_dropout(${a('x y')}, int64_t n, double p, ${RANDOM}, uint64_t firstElement, int accumulate)`,
  );
  const sumSquares = declare(`void ww_sum_squares(${a('x')}, int64_t n, ${a('out')}, int accumulate)`);
  const clipCoefficient = declare(`void ww_clip_coefficient(${a('sumSquares')}, float maxNorm, ${a('out')})`);
  const adamw = declare(
    `void ww_adamw(${a('param grad m v')}, int64_t n, double lr, double beta1, double beta2, double eps, ` +
      `double weightDecay, double step, ${a('gradScale')})`,
  );

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
    // Once a model's life, and only where weights are random: the reference's loop, on this memory.
    fillNormal({ y, ...more }) {
      const buffer = { bytes: 0, handle: bytesOf(y).buffer };
      fillNormalInto({ ...more, y: { ...y, buffer, offset: 0 } });
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
