/**
 * What the bindings of plain kernels share: grids, and kernels by their types. Memory's speed limits these kernels: each is as fast as its
 * arrays are read and written once.
 */

import type { DType } from '../span.js';
import type { Dropout, RandomStream } from '../kernels.js';
import type { Defines } from './compile.js';
import type { CudaDevice, Grid, Kernel } from './device.js';

const C_TYPE: Partial<Record<DType, string>> = { f32: 'float', bf16: 'bf16', f16: 'f16' };

/** The kernels' name of a type of numbers. */
export function cType(dtype: DType): string {
  const type = C_TYPE[dtype];
  if (type === undefined) throw new TypeError(`no numbers: ${dtype}`);
  return type;
}

/** What is made for a key, once. */
export function remembered<V>(): (key: string, make: () => V) => V {
  const known = new Map<string, V>();
  return (key, make) => {
    let value = known.get(key);
    if (value === undefined) known.set(key, (value = make()));
    return value;
  };
}

/** A family of kernels, each compiled for the defines that its key stands for. */
export function family(
  device: CudaDevice,
  source: string,
  name: string,
  parameters: string,
  defines: (key: string) => Defines,
): (key: string) => Kernel {
  const once = remembered<Kernel>();
  return (key) => once(key, () => device.kernel(source, name, parameters, defines(key)));
}

/** A family by the activations' type. */
export function byActivation(
  device: CudaDevice,
  source: string,
  name: string,
  parameters: string,
): (dtype: DType) => Kernel {
  const kernels = family(device, source, name, parameters, (type) => ({ ACTIVATION: type }));
  return (dtype) => kernels(cType(dtype));
}

/** A family by its defines. */
export function keyedFamily(
  device: CudaDevice,
  source: string,
  name: string,
  parameters: string,
): (defines: Defines) => Kernel {
  const kernels = family(device, source, name, parameters, (key) => JSON.parse(key) as Defines);
  return (defines) => kernels(JSON.stringify(defines));
}

export const BLOCK = 256;

/** Elements of a type in 16 bytes. */
export function lanes(dtype: DType): number {
  return dtype === 'f32' ? 4 : 8;
}

/** 1 where all addresses allow accesses of 16 bytes. */
export function aligned(...addresses: number[]): 0 | 1 {
  return addresses.every((at) => at % 16 === 0) ? 1 : 0;
}

/** Blocks of BLOCK threads, one thread for each of n things. */
export function blocks(n: number): Grid {
  return [Math.ceil(n / BLOCK), 1, 1];
}

/** The grid of a kernel on for_elements. */
export function elementGrid(n: number, width: number, vector: number): Grid {
  return n === 0 ? [0, 1, 1] : blocks(vector ? Math.floor(n / width) + 1 : n);
}

/** How row_place's kernels lay rows of so many units on blocks. */
export function rowLayout(rows: number, units: number): { grid: Grid; shift: number } {
  const shift = Math.min(8, Math.ceil(Math.log2(Math.max(1, units))));
  return { grid: blocks(rows * 2 ** shift), shift };
}

/** Threads of a block that treats a row of so many units, several a thread. */
export function rowBlock(units: number, most: number): number {
  return Math.min(most, Math.max(32, Math.ceil(units / 64) * 32));
}

/** The seed, stream and step that kernels take. */
export function randomArguments({ seed, stream, step }: RandomStream): [number, number, number] {
  return [seed, stream, step];
}

/** The least number of an element that dropout keeps. */
export function keepThreshold({ p }: Dropout): number {
  return Math.min(2 ** 16 - 1, Math.round(p * 2 ** 16));
}

/** The largest unit of memory that divides all of some addresses and sizes. */
export function unitOf(...sizes: number[]): { type: string; bytes: number } {
  const divides = (bytes: number): boolean => sizes.every((size) => size % bytes === 0);
  if (divides(16)) return { type: 'uint4', bytes: 16 };
  if (divides(4)) return { type: 'u32', bytes: 4 };
  return divides(2) ? { type: 'u16', bytes: 2 } : { type: 'u8', bytes: 1 };
}
