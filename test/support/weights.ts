/** Blocks of values as weights have them, and as they seldom do, from a fixed sequence: the same on every machine. */

const BLOCK = 256;

/** [blocks · 256] values. */
export function weightLike(blocks: number): Float32Array {
  let state = 20261128;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const bell = (): number => uniform() + uniform() + uniform() + uniform() - 2;
  const kinds: readonly ((i: number) => number)[] = [
    () => 0.02 * bell(),
    () => bell() ** 3,
    () => uniform(),
    () => -uniform() - 0.5,
    () => 0,
    () => 0.75,
    () => (uniform() < 0.02 ? 8 * bell() : 0.01 * bell()),
    (i) => (i % 64 < 32 ? 0 : bell()),
    () => 1e-7 * bell(),
    () => 300 * bell(),
    (i) => i / BLOCK - 0.5,
    () => Math.round(4 * bell()) / 4,
    (i) => (i % 16 === 0 ? 1e-3 : 1e-9) * bell(),
  ];
  const out = new Float32Array(blocks * BLOCK);
  for (let b = 0; b < blocks; b++)
    for (let i = 0; i < BLOCK; i++) out[b * BLOCK + i] = kinds[b % kinds.length]!(i);
  return out;
}
