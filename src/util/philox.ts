/**
 * Random numbers without a history: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
 * (SC 2011). A number is a function of key and counter alone, so that a mask or an order depends on seed, step and position, never
 * on threads or on what was drawn before. The kernels implement the same generator.
 */

type Words4 = readonly [number, number, number, number];

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
/** The golden ratio and √3 − 1, as 32-bit fractions: what the key grows by each round. */
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

const HIGH_0 = MULTIPLIER_0 >>> 16;
const LOW_0 = MULTIPLIER_0 & 0xffff;
const HIGH_1 = MULTIPLIER_1 >>> 16;
const LOW_1 = MULTIPLIER_1 & 0xffff;

const four = new Uint32Array(4);

/** Four u32 for a counter of four u32 and a key of two; inputs are taken modulo 2^32. */
export function philox4x32(
  counter: Words4,
  key: readonly [number, number],
): [number, number, number, number] {
  philoxFill(four, counter, 1, key);
  return [four[0]!, four[1]!, four[2]!, four[3]!];
}

/**
 * Fills `out` with the words of counters one after the other, each with a first word that is `step` above the last one's. Two counters
 * go side by side, since a round waits for its products.
 */
export function philoxFill(
  out: Uint32Array,
  counter: Words4,
  step: number,
  key: readonly [number, number],
): void {
  let first = counter[0] | 0;
  for (let at = 0; at < out.length; at += 8) {
    let a0 = first;
    let a1 = counter[1] | 0;
    let a2 = counter[2] | 0;
    let a3 = counter[3] | 0;
    let b0 = (first + step) | 0;
    let b1 = a1;
    let b2 = a2;
    let b3 = a3;
    let k0 = key[0] | 0;
    let k1 = key[1] | 0;
    for (let round = 0; round < ROUNDS; round++) {
      const a = upper(HIGH_0, LOW_0, a0);
      const b = upper(HIGH_0, LOW_0, b0);
      const lowA = Math.imul(MULTIPLIER_0, a0);
      const lowB = Math.imul(MULTIPLIER_0, b0);
      a0 = upper(HIGH_1, LOW_1, a2) ^ a1 ^ k0;
      b0 = upper(HIGH_1, LOW_1, b2) ^ b1 ^ k0;
      a1 = Math.imul(MULTIPLIER_1, a2);
      b1 = Math.imul(MULTIPLIER_1, b2);
      a2 = a ^ a3 ^ k1;
      b2 = b ^ b3 ^ k1;
      a3 = lowA;
      b3 = lowB;
      k0 = (k0 + WEYL_0) | 0;
      k1 = (k1 + WEYL_1) | 0;
    }
    // What lies behind the end of a typed array is dropped.
    out[at] = a0;
    out[at + 1] = a1;
    out[at + 2] = a2;
    out[at + 3] = a3;
    out[at + 4] = b0;
    out[at + 5] = b1;
    out[at + 6] = b2;
    out[at + 7] = b3;
    first = (first + 2 * step) | 0;
  }
}

/** The upper 32 bits of a · b, both u32, a in halves: a double's 53 bits do not hold the product. */
function upper(aHigh: number, aLow: number, b: number): number {
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const other = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}
