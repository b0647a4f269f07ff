/** Damage to one value of a safetensors file. */

import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Makes one value of a tensor of float32 another, both by number as often as there are any.
 * @param names whether a tensor is one of those to choose from
 * @returns the tensor's name
 */
export function spoil(
  path: string,
  which: number,
  place: number,
  value: number,
  names: (name: string) => boolean = () => true,
): string {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { readonly dtype?: string; readonly data_offsets: readonly [number, number] }
  >;
  const fit = Object.keys(header).filter((name) => header[name]!.dtype === 'F32' && names(name));
  const name = fit[which % fit.length]!;
  const [begin, end] = header[name]!.data_offsets;
  bytes.writeFloatLE(value, 8 + length + begin + 4 * (place % ((end - begin) / 4)));
  writeFileSync(path, bytes);
  return name;
}
