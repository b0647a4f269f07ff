/**
 * The door of the API: what a program hands over is looked at before it reaches loops and native code, where a wrong number would hang or
 * harm. Each throws a TypeError for a value of another type and a RangeError for one out of range, by name and value.
 */

/** The most that counts of things may be, as kernels have them. */
const MOST = 2 ** 31 - 1;
/** The largest seed, and number of a prompt: a u32. */
const MOST_SEED = 2 ** 32 - 1;

export function checkWhole(name: string, value: unknown, least: number, most = MOST): void {
  checkNumber(name, value, `a whole number from ${least} to ${most}`, (n) => {
    return Number.isInteger(n) && n >= least && n <= most;
  });
}

/** A seed of random numbers. */
export function checkSeed(name: string, value: unknown): void {
  checkWhole(name, value, 0, MOST_SEED);
}

/** `wanted` says in words what `within` looks for. */
export function checkNumber(
  name: string,
  value: unknown,
  wanted: string,
  within: (value: number) => boolean,
): void {
  if (typeof value !== 'number') throw new TypeError(`${name} is ${shown(value)}, wanted ${wanted}`);
  if (!within(value)) throw new RangeError(`${name} is ${value}, wanted ${wanted}`);
}

/** A finite number, 0 or more. */
export function checkAtLeastZero(name: string, value: unknown): void {
  checkNumber(name, value, 'a finite number, 0 or more', (n) => n >= 0 && n < Infinity);
}

/** A finite number above 0. */
export function checkPositive(name: string, value: unknown): void {
  checkNumber(name, value, 'a finite number above 0', (n) => n > 0 && n < Infinity);
}

/** A number from 0 to less than 1. */
export function checkBelowOne(name: string, value: unknown): void {
  checkNumber(name, value, 'a number from 0 to less than 1', (n) => n >= 0 && n < 1);
}

/** One of a table's names. */
export function checkOneOf(name: string, value: unknown, names: readonly string[]): void {
  if (typeof value === 'string' && names.includes(value)) return;
  const Fault = typeof value === 'string' ? RangeError : TypeError;
  throw new Fault(`${name} is ${shown(value)}, wanted ${names.join(', ')}`);
}

/** Arrays that must be as long as another. */
export function checkLengths(length: number, arrays: Readonly<Record<string, ArrayLike<unknown>>>): void {
  for (const [name, array] of Object.entries(arrays))
    if (array.length !== length)
      throw new RangeError(`${name} has ${array.length} elements, wanted ${length}, as many as ids`);
}

/** Whole numbers of 32 bits, as kernels take them; holes of sparse arrays are none. */
export function checkInt32(name: string, values: ArrayLike<number>): void {
  if (values instanceof Int32Array) return;
  for (let i = 0; i < values.length; i++)
    if ((values[i]! | 0) !== values[i])
      throw new RangeError(`${name}[${i}] is ${shown(values[i])}, wanted a whole number of 32 bits`);
}

export function checkInt32Array(name: string, value: unknown): void {
  if (!(value instanceof Int32Array)) throw new TypeError(`${name} is ${shown(value)}, wanted an Int32Array`);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return typeof value === 'object' && value !== null ? value.constructor.name : String(value);
}
