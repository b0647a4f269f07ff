/**
 * How ggml finds the scales of small groups of weights: a few steps around the obvious scale, each judged by a weighted square of what is
 * lost. Every operation is rounded to float32, in ggml's order (`quantize_row_*_ref` of ggml-quants.c, compiled without fused operations), so
 * that the bytes are the same.
 */

const f = Math.fround;

/** Below it a group counts as all zeros. */
export const GROUP_EPS = f(1e-15);

/** Adding it leaves no bits below one: the nearest whole number, ties to even, of what is below 2^22. */
const TO_WHOLE = 12582912;

export function nearest(x: number): number {
  return f(x + TO_WHOLE) - TO_WHOLE;
}

export function clamp(x: number, low: number, high: number): number {
  return x < low ? low : x > high ? high : x;
}

/** Values around zero: levels from -top to top - 1, kept plus `top`. */
const STEPS_AROUND = 9;
const TENTH = f(0.1);

/**
 * A scale for `x[at, at + n)`, whose weights are their squares; 0 where all count as zeros.
 * @param levels gets what stands for each value, plus `top`
 */
export function fitAround(x: Float32Array, at: number, n: number, top: number, levels: Uint8Array): number {
  const end = at + n;
  let largest = 0;
  let signed = 0;
  for (let i = at; i < end; i++) {
    const size = Math.abs(x[i]!);
    if (size > largest) {
      largest = size;
      signed = x[i]!;
    }
  }
  if (largest < GROUP_EPS) {
    levels.fill(0, 0, n);
    return 0;
  }
  let inverse = f(-top / signed);
  let sumX = 0;
  let sumL = 0;
  for (let i = at; i < end; i++) {
    const v = x[i]!;
    const l = clamp(nearest(f(inverse * v)), -top, top - 1);
    levels[i - at] = l + top;
    const w = f(v * v);
    sumX = f(sumX + f(f(w * v) * l));
    sumL = f(sumL + f(f(w * l) * l));
  }
  let scale = sumL ? f(sumX / sumL) : 0;
  let best = f(scale * sumX);
  for (let step = -STEPS_AROUND; step <= STEPS_AROUND; step++) {
    if (step === 0) continue;
    inverse = f(-f(top + f(TENTH * step)) / signed);
    sumX = 0;
    sumL = 0;
    for (let i = at; i < end; i++) {
      const v = x[i]!;
      const l = clamp(nearest(f(inverse * v)), -top, top - 1);
      const w = f(v * v);
      sumX = f(sumX + f(f(w * v) * l));
      sumL = f(sumL + f(f(w * l) * l));
    }
    if (sumL > 0 && f(sumX * sumX) > f(best * sumL)) {
      for (let i = at; i < end; i++) levels[i - at] = top + clamp(nearest(f(inverse * x[i]!)), -top, top - 1);
      scale = f(sumX / sumL);
      best = f(scale * sumX);
    }
  }
  return scale;
}

/** The steps that are tried: factors from `from` on, a tenth apart. */
export interface Steps {
  readonly from: number;
  readonly count: number;
}

/** Elements of a group with a minimum of its own. */
export const GROUP = 32;

const weights = new Float32Array(GROUP);
const shifted = new Float32Array(GROUP);
/** Levels as numbers, which spares conversions. */
const tried = new Float64Array(GROUP);
const chosen = new Float64Array(GROUP);

/**
 * A scale and a least value for the group `x[at, at + 32)`, whose weights are their sizes plus their mean square's root.
 * @param levels gets what stands for each value, from 0 to `top`
 * @param found gets scale and negated minimum, neither below zero
 */
export function fitAbove(
  x: Float32Array,
  at: number,
  top: number,
  { from, count }: Steps,
  levels: Uint8Array,
  found: Float32Array,
): void {
  const sumW = weigh(x, at);
  let low = x[at]!;
  let high = low;
  let sumX = f(weights[0]! * low);
  for (let i = 1; i < GROUP; i++) {
    const v = x[at + i]!;
    if (v < low) low = v;
    if (v > high) high = v;
    sumX = f(sumX + f(weights[i]! * v));
  }
  if (low > 0) low = 0;
  if (high === low) {
    levels.fill(0);
    found[0] = 0;
    found[1] = -low;
    return;
  }
  let scale = f(1 / f(top / f(high - low)));
  let min = low;
  shift(x, at, min);
  const first = f(top / f(high - low));
  for (let i = 0; i < GROUP; i++) chosen[i] = clamp(nearest(f(first * shifted[i]!)), 0, top);
  let best = loss(x, at, scale, min, chosen, Infinity);
  for (let step = 0; step <= count; step++) {
    // From the least value that is the best so far, as ggml has it, not the group's.
    const inverse = f(f(f(from + f(TENTH * step)) + top) / f(high - min));
    let sumL = 0;
    let sumLL = 0;
    let sumXL = 0;
    for (let i = 0; i < GROUP; i++) {
      const l = clamp(nearest(f(inverse * shifted[i]!)), 0, top);
      tried[i] = l;
      const wl = f(weights[i]! * l);
      sumL = f(sumL + wl);
      sumLL = f(sumLL + f(wl * l));
      sumXL = f(sumXL + f(wl * x[at + i]!));
    }
    const d = f(f(sumW * sumLL) - f(sumL * sumL));
    if (!(d > 0)) continue;
    let thisScale = f(f(f(sumW * sumXL) - f(sumX * sumL)) / d);
    let thisMin = f(f(f(sumLL * sumX) - f(sumL * sumXL)) / d);
    if (thisMin > 0) {
      thisMin = 0;
      thisScale = f(sumXL / sumLL);
    }
    const lost = loss(x, at, thisScale, thisMin, tried, best);
    if (lost < best) {
      chosen.set(tried);
      best = lost;
      scale = thisScale;
      min = thisMin;
      shift(x, at, min);
    }
  }
  levels.set(chosen);
  found[0] = scale;
  found[1] = -min;
}

function shift(x: Float32Array, at: number, min: number): void {
  for (let i = 0; i < GROUP; i++) shifted[i] = x[at + i]! - min;
}

/** Sets the group's weights; their sum. */
function weigh(x: Float32Array, at: number): number {
  let squares = 0;
  for (let i = 0; i < GROUP; i++) squares = f(squares + f(x[at + i]! * x[at + i]!));
  const mean = f(Math.sqrt(f(squares / GROUP)));
  let sum = 0;
  for (let i = 0; i < GROUP; i++) {
    const w = f(mean + Math.abs(x[at + i]!));
    weights[i] = w;
    sum = f(sum + w);
  }
  return sum;
}

/** What a scale and a minimum lose; something from `enough` on where it is not below that, for no term lowers a sum. */
function loss(
  x: Float32Array,
  at: number,
  scale: number,
  min: number,
  levels: Float64Array,
  enough: number,
): number {
  let sum = 0;
  for (let first = 0; first < GROUP && sum < enough; first += 8)
    for (let i = first; i < first + 8; i++) {
      const diff = f(f(f(scale * levels[i]!) + min) - x[at + i]!);
      sum = f(sum + f(weights[i]! * f(diff * diff)));
    }
  return sum;
}
