/** Arguments of kernels, drawn from the table of their signatures: right ones, and such with one thing wrong. */

import type { Backend } from '../../../src/backends/contract.js';
import { BYTES_PER_ELEMENT, type DType, type Span } from '../../../src/backends/span.js';
import type { Kernels } from '../../../src/backends/kernels.js';
import { sizeClass } from '../../../src/backends/pool.js';
import type { AnyRule, AnySignature } from '../../../src/backends/rules.js';
import { DENSE, NF4, SIGNATURES } from '../../../src/backends/signatures/index.js';
import { float32ToBf16, float32ToF16 } from '../../../src/files/convert.js';
import { philox4x32 } from '../../../src/util/philox.js';

export const KERNELS = Object.keys(SIGNATURES) as (keyof Kernels)[];

export type Fields = Record<string, unknown>;
type Rule<Kind extends AnyRule['kind']> = AnyRule & { readonly kind: Kind };

/** A stream of numbers of its own for each round of each kernel. */
export class Dice {
  private at = 0;

  constructor(
    private readonly kernel: number,
    private readonly round: number,
  ) {}

  /** In [0, 1). */
  next(): number {
    return philox4x32([this.at++, this.kernel, 0, 0], [this.round, 18])[0] / 2 ** 32;
  }

  /** A whole number from least to most. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  of<T>(values: readonly T[]): T {
    return values[this.whole(0, values.length - 1)]!;
  }

  chance(p: number): boolean {
    return this.next() < p;
  }
}

/** A span that is to be made: how long, of what type, and what stands there at first. */
export interface Plan {
  readonly dtype: DType;
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** Right arguments, with plans where spans will be. `undefined` where the numbers drawn do not go together. */
export function drawArguments(kernel: keyof Kernels, dice: Dice): Fields | undefined {
  const signature = SIGNATURES[kernel] as unknown as AnySignature;
  const dimensions = Object.values(signature.rules).filter((rule) => rule.kind === 'size').length;
  const most =
    kernel === 'gemms' ? 60 : dimensions <= 1 ? 3000 : dimensions <= 3 ? 90 : dimensions <= 5 ? 24 : 9;
  const args = new Draw(dice, most).object(signature, undefined);
  return args && consistent(kernel, args, dice) ? args : undefined;
}

/** What is drawn after what. */
const TURN: Readonly<Record<AnyRule['kind'], number>> = {
  ...{ size: 0, real: 0, flag: 0, choice: 0 },
  ...{ part: 1, matrix: 1, span: 2, list: 3 },
};

class Draw {
  constructor(
    private readonly dice: Dice,
    private readonly most: number,
  ) {}

  object(signature: AnySignature, parent: Fields | undefined, given: Fields = {}): Fields | undefined {
    const { rules, conditions = [] } = signature;
    const fields: Fields = { ...given };
    for (const [name, rule] of Object.entries(rules).sort(([, a], [, b]) => TURN[a.kind] - TURN[b.kind])) {
      if (name in fields || (rule.optional && this.dice.chance(0.5))) continue;
      const value = this.value(name, rule, fields, parent);
      if (value === undefined) return undefined;
      fields[name] = value;
    }
    return conditions.every((condition) => condition(fields, parent) === undefined) ? fields : undefined;
  }

  private value(name: string, rule: AnyRule, part: Fields, parent: Fields | undefined): unknown {
    const { dice } = this;
    switch (rule.kind) {
      case 'size':
        return this.size(name, rule, part);
      case 'real':
        return dice.whole(1, 99) / 100;
      case 'flag':
        return dice.chance(0.5);
      case 'choice':
        return dice.of(rule.values);
      case 'part':
        return this.object(rule.signature, part);
      case 'list':
        return this.list(name, rule.signature, part);
      case 'matrix': {
        const kind = dice.of(rule.kinds);
        const size = { kind, rows: rule.rows(part, parent), cols: rule.cols(part, parent) };
        const signature = (kind === 'nf4' ? NF4 : DENSE) as unknown as AnySignature;
        return this.object(signature, part, size);
      }
      case 'span':
        return this.plan(name, rule, part, parent);
    }
  }

  private size(name: string, rule: Rule<'size'>, part: Fields): number {
    const { dice } = this;
    if (name === 'kvHeads' && 'heads' in part) {
      const heads = part['heads'] as number;
      return dice.of(Array.from({ length: heads }, (_, i) => i + 1).filter((n) => heads % n === 0));
    }
    if (name === 'heads' && 'kvHeads' in part) return (part['kvHeads'] as number) * dice.whole(1, 3);
    if (name === 'rotaryDim') return 2 * dice.whole(1, Math.max(1, (part['headDim'] as number) >> 1));
    if (name === 'headDim') return dice.of([2, 3, 8, 16, 17, 33, 64, 80]);
    if (name === 'window') return part['causal'] === false ? 0 : dice.whole(0, this.most);
    if (['seed', 'stream', 'step'].includes(name)) return dice.whole(1, 2 ** 20);
    return dice.chance(0.3) ? dice.whole(rule.least, 3) : dice.whole(rule.least, this.most);
  }

  private list(name: string, signature: AnySignature, part: Fields): Fields[] | undefined {
    const { dice } = this;
    const rows = part['m'] as number;
    const parts: Fields[] = [];
    if (name === 'products') {
      for (let i = dice.whole(0, 3); i > 0; i--) {
        const product = this.object(signature, part);
        if (!product) return undefined;
        parts.push(product);
      }
      return parts;
    }
    for (let at = 0; at < rows;) {
      const count = dice.whole(1, rows - at);
      if (name === 'groups') {
        const sizes = Array.from({ length: count }, (_, i) => i + 1).filter((n) => count % n === 0);
        const each = dice.of(sizes);
        parts.push({ first: at, rows: each, count: count / each });
      } else if (dice.chance(0.7)) {
        const thin = this.object(signature, part, { first: at, rows: count });
        if (!thin) return undefined;
        parts.push(thin);
      }
      at += count;
    }
    return parts;
  }

  private plan(name: string, rule: Rule<'span'>, part: Fields, parent: Fields | undefined): Plan | undefined {
    const { dice } = this;
    const { types } = rule;
    const allowed =
      types === 'activation' ? (['f32'] as const) : typeof types === 'function' ? types(part, parent) : types;
    const dtype = dice.of(allowed);
    const needed = rule.length(part, parent);
    if (needed > 1e5) return undefined;
    const length = dice.chance(0.8) ? needed : needed + dice.whole(1, 9);
    const sorted = name === 'segments' || name === 'map';
    const numbers = Array.from({ length }, () => {
      if (rule.below) {
        const below = rule.below(part, parent);
        if (rule.negative && dice.chance(0.3)) return -dice.whole(1, 100);
        return below > 0 ? dice.whole(0, below - 1) : undefined;
      }
      if (name === 'segments') return dice.whole(0, 4);
      if (dtype === 'i32') return dice.whole(-(2 ** 31), 2 ** 31 - 1);
      if (dtype === 'u8') return dice.whole(0, 255);
      const positive = ['v', 'sumSquares', 'absmax', 'rstd'].includes(name);
      return positive ? dice.next() : 2 * dice.next() - 1;
    });
    // Indices of nothing.
    if (numbers.includes(undefined)) return undefined;
    const values = numbers as number[];
    if (sorted) values.sort((a, b) => a - b);
    return { dtype, length, bytes: bytesOf(dtype, values) };
  }
}

function bytesOf(dtype: DType, values: readonly number[]): Uint8Array {
  const floats = (): Float32Array => Float32Array.from(values);
  const makers: Readonly<Record<DType, () => ArrayBufferView>> = {
    f32: floats,
    bf16: () => float32ToBf16(floats()),
    f16: () => float32ToF16(floats()),
    i32: () => Int32Array.from(values),
    u8: () => Uint8Array.from(values),
  };
  const { buffer, byteOffset, byteLength } = makers[dtype]();
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** What the table cannot say: rows of indices that must differ, sequences of a batch one by one. */
function consistent(kernel: keyof Kernels, args: Fields, dice: Dice): boolean {
  const numbers = (name: string): Int32Array => {
    const { bytes } = args[name] as Plan;
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  const distinct = (count: number, below: number): number[] => {
    const all = Array.from({ length: below }, (_, i) => i);
    for (let i = 0; i < Math.min(count, below - 1); i++) {
      const j = dice.whole(i, below - 1);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return all.slice(0, count);
  };
  const rows = args['rows'] as number;
  if (kernel === 'scatterRows') {
    const below = Math.floor((args['y'] as Plan).length / (args['dim'] as number));
    if (rows > below) return false;
    numbers('index').set(distinct(rows, below));
  }
  if (kernel === 'cacheWrite') {
    const [slots, capacity] = [args['slots'] as number, args['capacity'] as number];
    if (rows > slots * capacity) return false;
    for (const [i, place] of distinct(rows, slots * capacity).entries()) {
      numbers('slotOf')[i] = Math.floor(place / capacity);
      numbers('positions')[i] = place % capacity;
    }
  }
  return true;
}

function isPlan(value: unknown): value is Plan {
  return typeof value === 'object' && value !== null && 'bytes' in value;
}

/** `args` with `make`'s spans in the place of plans. */
export function withSpans(args: unknown, make: (plan: Plan) => Span): unknown {
  if (isPlan(args)) return make(args);
  if (Array.isArray(args)) return args.map((part) => withSpans(part, make));
  if (typeof args !== 'object' || args === null) return args;
  return Object.fromEntries(Object.entries(args).map(([name, part]) => [name, withSpans(part, make)]));
}

const GUARD = 0xa5;

/**
 * A plan's memory: a block that the allocator hands out as it is, so that the sanitizer knows its end, with the span at its very end or
 * its very beginning, and bytes that nobody may touch before or behind it.
 */
export function place(
  backend: Backend,
  { dtype, length, bytes }: Plan,
  atEnd: boolean,
): { readonly span: Span; readonly image: Uint8Array } {
  const size = length * BYTES_PER_ELEMENT[dtype];
  const buffer = backend.alloc(sizeClass(size + BYTES_PER_ELEMENT[dtype]));
  const offset = atEnd ? buffer.bytes - size : 0;
  const image = new Uint8Array(buffer.bytes).fill(GUARD);
  image.set(bytes, offset);
  backend.upload(image, { buffer, offset: 0, dtype: 'u8', length: buffer.bytes });
  return { span: { buffer, offset, dtype, length }, image };
}
