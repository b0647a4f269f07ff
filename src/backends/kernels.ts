/** The table of kernels that every backend fills (contract.ts has the conventions), and the shapes of their arguments. */

import type { DenseMatrix, Matrix, Nf4Matrix, RowGroup, Span } from './span.js';

/**
 * A stream of Philox4x32-10 numbers (Salmon et al., SC 2011): key = [seed, stream], counter = [i >> 2 (low), i >> 2 (high), step, 0],
 * word i & 3 for element i. All u32.
 */
export interface RandomStream {
  readonly seed: number;
  readonly stream: number;
  readonly step: number;
}

/**
 * Inverted dropout (Srivastava et al., JMLR 2014): an element is kept, over 1 - p, where its number of 16 bits is at least
 * round(p · 2¹⁶), at most 2¹⁶ - 1. Masks are most of what streams are asked for, so that an element takes half a word: element i the
 * low half of word i >> 1 where i is even, else the high half.
 */
export interface Dropout {
  readonly p: number;
  readonly random: RandomStream;
  /** The number of the array's first element in the stream. */
  readonly firstElement: number;
}

/** alpha · op(a) · op(b) for rows first … first + rows - 1 of a larger product, laid out as that (LoRA's). */
export interface ThinProduct {
  readonly first: number;
  readonly rows: number;
  readonly k: number;
  /** [rows, k], or [k, rows] when the larger one has `transA`. */
  readonly a: Span;
  /** f32 [k, n], or [n, k] when it has `transB`. */
  readonly b: Span;
  readonly alpha: number;
}

/** c = alpha · op(a) · op(b) [+ extra's products] [+ bias] [+ residual | + c]. */
export interface GemmArgs {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** [m, k], or [k, m] when `transA`. */
  readonly a: Span;
  readonly transA?: boolean;
  /**
   * [k, n], or [n, k] when `transB` (a Linear's weight is [out, in]: its forward product takes `transB`, its input gradient does not).
   * A dense one may have another type than `a`.
   */
  readonly b: Matrix;
  readonly transB?: boolean;
  /** [m, n]; of a's type, or f32. */
  readonly c: Span;
  readonly alpha?: number;
  readonly accumulate?: boolean;
  /** All rows in order where several trainings bring them: each training's get the bits of a product of their own. Excludes `transA`. */
  readonly groups?: readonly RowGroup[] | undefined;
  /** Thin products into the same result, each into rows of its own, in the rows' order. */
  readonly extra?: readonly ThinProduct[];
  /** f32 [n] */
  readonly bias?: Span;
  /** [m, n] of c's type, added; may be `c` itself. Excludes `accumulate`. */
  readonly residual?: Span;
  /**
   * 'rows' promises few rows (decoding): b is read once, without repacking. The rounding differs from the default path's, so that a
   * caller which wants the same bits for a row in any batch chooses by what it does, not by m.
   */
  readonly path?: 'tiles' | 'rows';
  /** 'bf16' lets the backend round both factors to bfloat16 (f32 accumulation) where its hardware multiplies that faster. */
  readonly precision?: 'f32' | 'bf16';
}

/** One of LoRA's products between rows of `cols` elements (a module's input or output) and rows of r. */
export interface LoraShape {
  readonly rows: number;
  readonly cols: number;
  readonly r: number;
  /** As in GemmArgs. */
  readonly precision: 'f32' | 'bf16';
}

/**
 * GELU (arXiv:1606.08415): x · Φ(x), Φ the normal distribution's (1 + erf(x / √2)) / 2; and its approximation
 * x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³))). And ReLU: max(x, 0), whose slope at 0 is 0.
 */
export type Activation = 'gelu' | 'gelu_tanh' | 'relu';

export interface AttentionShape {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  /** Divides `heads`; query head h reads key head floor(h / (heads / kvHeads)). */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly scale: number;
  /** Whether query i sees no key behind it; else it sees its whole segment. */
  readonly causal: boolean;
  /** Key j is seen from query i when 0 <= i - j < window. 0: no limit, and the only window where not `causal`. */
  readonly window: number;
  /** i32 [batch, length]: a key is seen only from its own segment, equal segments stand together; negative: padding (output and gradients 0). */
  readonly segments: Span;
  /** Present: cross attention, not causal and without a bias. */
  readonly keys?: CrossKeys | undefined;
  readonly bias?: DistanceBias | undefined;
}

/**
 * Keys and values of a sequence of their own, [batch, length, kvHeads, headDim]: a query sees those of the segment that has its number,
 * and gives 0 where there are none. The numbers of both sequences ascend; padding stands at one end.
 */
export interface CrossKeys {
  readonly length: number;
  /** i32 [batch, length] */
  readonly segments: Span;
}

/**
 * What is added to scaled scores by distance (ALiBi, arXiv:2108.12409; T5, arXiv:1910.10683): values[h, j - i + reach - 1] for query i and
 * key j. A distance beyond `reach` takes the last value of its side.
 */
export interface DistanceBias {
  /** f32 [heads, 2 * reach - 1] */
  readonly values: Span;
  readonly reach: number;
}

export interface KvCacheShape {
  /** Slots of the cache; each holds one sequence. */
  readonly slots: number;
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What a gated unit makes of its gate: 'silu', x · sigmoid(x), or `Activation`'s 'gelu_tanh'. */
export type GateActivation = 'silu' | 'gelu_tanh';

export interface Kernels {
  gemm(args: GemmArgs): void;
  /** Products that do not depend on each other, at once where a backend gains by it: a layer's that read the same rows. */
  gemms(args: { products: readonly GemmArgs[] }): void;
  /** LoRA's inner activation (arXiv:2106.09685), u [rows, r] = drop(x)·Aᵀ: x [rows, cols], A f32 [r, cols]. */
  loraDown(args: LoraShape & { x: Span; a: Span; u: Span; dropout?: Dropout }): void;
  /** dA, where given, += duᵀ·drop(x); dx, where given, (+)= drop(du·A), by the same mask. */
  loraDownBackward(
    args: LoraShape & {
      x: Span;
      du: Span;
      a: Span;
      dA?: Span;
      dx?: Span;
      accumulate: boolean;
      dropout?: Dropout;
    },
  ): void;
  /** Of alpha · u·Bᵀ, B f32 [cols, r]: du = alpha · dy·B; dB, where given, += alpha · dyᵀ·u. dy [rows, cols]. */
  loraUpBackward(args: LoraShape & { dy: Span; u: Span; b: Span; du: Span; dB?: Span; alpha: number }): void;

  /** y[n] = NF4 codes of x (f32, bf16 or f16) with f32 scales: nearest code, ties and constants as bitsandbytes has them. */
  quantizeNf4(args: { x: Span; n: number; packed: Span; absmax: Span }): void;
  /**
   * Scales of NF4 blocks in eight bits (QLoRA, section 3): with offset[0] their mean, absmax[b] ≈ map[codes[b]] · scales[b >> 8] +
   * offset[0]. `absmax` f32 [n], finite; `map` f32 [256], ascending; codes u8 [n]; scales f32 [ceil(n / 256)], the largest |absmax - mean|
   * of each 256; of two equally near codes the even one.
   */
  quantizeScales(args: { absmax: Span; n: number; map: Span; codes: Span; scales: Span; offset: Span }): void;
  /** y f32 (or bf16) [rows * cols]. */
  dequantizeNf4(args: { w: Nf4Matrix; y: Span }): void;
  /** y = x in y's type, round to nearest even; any of f32, bf16, f16. */
  convert(args: { x: Span; y: Span; n: number }): void;

  /** y[row] = table[ids[row]]; y [rows, table.cols]. */
  embedding(args: { table: DenseMatrix; ids: Span; y: Span; rows: number }): void;
  /** dTable[ids[row]] += dy[row], in the order of the rows; dTable f32. */
  embeddingBackward(args: {
    ids: Span;
    dy: Span;
    dTable: Span;
    rows: number;
    vocab: number;
    dim: number;
  }): void;
  /**
   * y[i] = deviation · a normal number, from elements 2j and 2j + 1 of the stream by Box and Muller: with the words a and b,
   * sqrt(-2 · ln((a + 0.5) / 2³²)) times cosine, then sine, of 2π · b / 2³². y f32, bf16 or f16.
   */
  fillNormal(args: { y: Span; n: number; deviation: number; random: RandomStream }): void;
  /** x[row, i] += magnitude[row] · u, u uniform in [-1, 1) from element row · dim + i (NEFTune, arXiv:2310.05914). In place. */
  addUniformNoise(args: { x: Span; magnitude: Span; rows: number; dim: number; random: RandomStream }): void;

  /**
   * y = x · rstd · (weightOffset + w), rstd[row] = 1 / sqrt(mean(x²) + eps) (arXiv:1910.07467). x, y [rows, dim], w f32 [dim], rstd
   * [rows]. Gemma's weights are kept as what they have more than 1.
   */
  rmsNorm(args: {
    x: Span;
    w: Span;
    weightOffset: 0 | 1;
    y: Span;
    rstd: Span;
    rows: number;
    dim: number;
    eps: number;
  }): void;
  /** dx (accumulated when asked); dw, where given, is accumulated. */
  rmsNormBackward(args: {
    dy: Span;
    x: Span;
    w: Span;
    weightOffset: 0 | 1;
    rstd: Span;
    dx: Span;
    accumulate: boolean;
    dw?: Span;
    rows: number;
    dim: number;
  }): void;

  /**
   * y = (x - mean) · rstd · w + b, rstd[row] = 1 / sqrt(variance(x) + eps), the variance over all dim. x, y [rows, dim], w, b f32
   * [dim], mean, rstd f32 [rows] (arXiv:1607.06450).
   */
  layerNorm(args: {
    x: Span;
    w: Span;
    b: Span;
    y: Span;
    mean: Span;
    rstd: Span;
    rows: number;
    dim: number;
    eps: number;
  }): void;
  /** dx (accumulated when asked); dw and db, where given, are accumulated. */
  layerNormBackward(args: {
    dy: Span;
    x: Span;
    w: Span;
    mean: Span;
    rstd: Span;
    dx: Span;
    accumulate: boolean;
    dw?: Span;
    db?: Span;
    rows: number;
    dim: number;
  }): void;

  /** y = activation(x); y may be x. */
  activate(args: { x: Span; y: Span; n: number; activation: Activation }): void;
  /** dx = dy · activation'(x); dx may be dy or x. */
  activateBackward(args: { dy: Span; x: Span; dx: Span; n: number; activation: Activation }): void;

  /** y = activation(gate) · up (arXiv:2002.05202). */
  gatedUnit(args: { activation: GateActivation; gate: Span; up: Span; y: Span; n: number }): void;
  /** dGate may be `gate`, dUp may be `up`. */
  gatedUnitBackward(args: {
    activation: GateActivation;
    dy: Span;
    gate: Span;
    up: Span;
    dGate: Span;
    dUp: Span;
    n: number;
  }): void;

  /**
   * Rotary embedding (arXiv:2104.09864) in Hugging Face's halves: for i < rotaryDim/2, (x[i], x[i + rotaryDim/2]) turned by the angle
   * whose cosine and sine stand in row positions[row] of the tables (f32 [*, rotaryDim/2]). x [rows, heads, headDim]; y may be x.
   * `inverse` turns back: that is the gradient.
   */
  rope(args: {
    x: Span;
    y: Span;
    cos: Span;
    sin: Span;
    positions: Span;
    rows: number;
    heads: number;
    headDim: number;
    rotaryDim: number;
    inverse: boolean;
  }): void;

  /**
   * softmax(q·kᵀ·scale + bias)·v. q, out [batch, length, heads, headDim]; k, v [batch, length, kvHeads, headDim], of `keys.length` in
   * cross attention; lse [batch, heads, length], the log of the softmax's denominator (natural, of the scores with scale and bias).
   */
  attention(args: AttentionShape & { q: Span; k: Span; v: Span; out: Span; lse: Span }): void;
  /** dq, dk, dv are written (FlashAttention-2, arXiv:2307.08691); dBias, where given, f32 [heads, 2 * reach - 1], is accumulated. */
  attentionBackward(
    args: AttentionShape & {
      q: Span;
      k: Span;
      v: Span;
      out: Span;
      dOut: Span;
      lse: Span;
      dq: Span;
      dk: Span;
      dv: Span;
      dBias?: Span | undefined;
    },
  ): void;
  /** cache[slots[row], positions[row]] = x[row]; cache f32 or bf16 [slots, capacity, kvHeads, headDim], x [rows, kvHeads, headDim]. */
  cacheWrite(
    args: KvCacheShape & { x: Span; cache: Span; slotOf: Span; positions: Span; rows: number },
  ): void;
  /** Each query row sees keys max(0, position - window + 1) … position of its slot; `bias` by the key's place less position. q, out [rows, heads, headDim]. */
  attentionCached(
    args: KvCacheShape & {
      q: Span;
      keys: Span;
      values: Span;
      slotOf: Span;
      positions: Span;
      out: Span;
      rows: number;
      heads: number;
      scale: number;
      window: number;
      bias?: DistanceBias | undefined;
    },
  ): void;

  /**
   * losses[row] = logsumexp(logits[row]) - logits[row] · goal[row]; 0 where the target is negative. `logits` f32 [rows, vocab]. A goal is
   * 1 - smoothing at its target and smoothing / vocab everywhere besides (smoothing: 0 where left out). `gradient`, where given, becomes
   * (softmax - goal) · scale (0 in rows without a target): an activation [rows, vocab], which may be `logits` itself where that has its type.
   */
  crossEntropy(args: {
    logits: Span;
    targets: Span;
    losses: Span;
    rows: number;
    vocab: number;
    smoothing?: number | undefined;
    gradient?: { readonly to: Span; readonly scale: number };
  }): void;
  /** x f32; out i32 [rows]: the first largest. */
  argmax(args: { x: Span; out: Span; rows: number; cols: number }): void;
  /**
   * A token for each row of logits f32 [rows, vocab]; out i32 [rows]. In the order from the likeliest down, equals by their id, the
   * topK first (0: all) are kept, and of those the fewest whose probability at `temperature` reaches topP (Holtzman et al.,
   * arXiv:1904.09751), the first always; draws[row], the 32 bits of an i32 as a share of 2³², says which of what is kept. Probabilities
   * are integers, floor(2³¹ · exp((logit - largest) / temperature)) in double precision, so that sums have no order and all backends
   * choose the same. A NaN counts as -Infinity.
   */
  sample(args: {
    logits: Span;
    draws: Span;
    out: Span;
    rows: number;
    vocab: number;
    temperature: number;
    topK: number;
    topP: number;
  }): void;

  /** y[i] = x[index[i]], rows of `dim`. */
  gatherRows(args: { x: Span; index: Span; y: Span; rows: number; dim: number }): void;
  /** y[index[i]] = x[i]; indices are distinct, other rows are left as they are. */
  scatterRows(args: { x: Span; index: Span; y: Span; rows: number; dim: number }): void;

  /** y = a + b; y may be a or b. */
  add(args: { a: Span; b: Span; y: Span; n: number }): void;
  /** y = alpha · x; y may be x. */
  scale(args: { x: Span; y: Span; n: number; alpha: number }): void;
  copy(args: { x: Span; y: Span; n: number }): void;
  fill(args: { y: Span; n: number; value: number }): void;
  /** y[c] (+)= sum over rows of x[row, c]; y f32. */
  sumRows(args: { x: Span; y: Span; rows: number; cols: number; accumulate: boolean }): void;
  /** y (+)= x · mask / (1 - p). Its own gradient. y may be x. */
  dropout(args: Dropout & { x: Span; y: Span; n: number; accumulate: boolean }): void;

  /** out f32 [1] (+)= sum of x², summed in double precision over blocks of a fixed size. */
  sumSquares(args: { x: Span; n: number; out: Span; accumulate: boolean }): void;
  /** out f32 [1] = min(1, maxNorm / (sqrt(sumSquares) + 1e-6)), as torch's clip_grad_norm_ (maxNorm Infinity: 1); NaN where sumSquares is not finite. */
  clipCoefficient(args: { sumSquares: Span; maxNorm: number; out: Span }): void;
  /**
   * AdamW as torch.optim.AdamW (arXiv:1711.05101), all f32, gradient times gradScale[0] first; `step` counts from 1. Nothing is
   * changed where gradScale[0] is NaN: a host that runs behind has not seen yet that the gradient overflowed.
   */
  adamw(args: {
    param: Span;
    grad: Span;
    m: Span;
    v: Span;
    n: number;
    lr: number;
    beta1: number;
    beta2: number;
    eps: number;
    weightDecay: number;
    step: number;
    gradScale: Span;
  }): void;
}
