/** What a template may make at most: characters or items, and bits of a number. Throws RangeError for more. */

const MOST = 1 << 24;
export const MOST_BITS = 1 << 16;

export function sized(length: number): number {
  if (length > MOST) throw new RangeError('it makes a value of more than 16 million characters or items');
  return length;
}

export function bounded(value: bigint): bigint {
  if (value > 1n << BigInt(MOST_BITS) || value < -(1n << BigInt(MOST_BITS)))
    throw new RangeError('it makes a number of more than 65536 bits');
  return value;
}
