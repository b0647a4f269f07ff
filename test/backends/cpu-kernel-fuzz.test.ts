/**
 * Every kernel with arguments drawn from the table of signatures. Right ones: the CPU's kernel touches nothing but its spans, which lie at
 * the ends of their blocks, so that a sanitizer sees a step beyond, and does as the reference does. Such with one thing wrong: refused by
 * name before native code sees them. WESTWIND_FUZZ_ROUNDS sets the rounds of each kernel.
 */

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Backend } from '../../src/backends/contract.js';
import { BYTES_PER_ELEMENT, type DType, type Span } from '../../src/backends/span.js';
import { createCpuBackend } from '../../src/backends/cpu/index.js';
import type { Kernels } from '../../src/backends/kernels.js';
import { createReferenceBackend } from '../../src/backends/reference/index.js';
import type { AnyRule, AnySignature } from '../../src/backends/rules.js';
import { DENSE, NF4, SIGNATURES } from '../../src/backends/signatures/index.js';
import { bf16ToFloat32, f16ToFloat32 } from '../../src/files/convert.js';
import { Dice, drawArguments, KERNELS, place, withSpans, type Fields, type Plan } from './fuzz/draw.js';

const ROUNDS = Number(process.env['WESTWIND_FUZZ_ROUNDS'] ?? 40);
/** Of a round's right arguments, spoilt ones. */
const SPOILT = 6;

const cpu = createCpuBackend({ threads: 2 });
const reference = createReferenceBackend();

type Call = (args: object) => void;
function kernelOf(backend: Backend, kernel: keyof Kernels): Call {
  const kernels = backend.kernels as unknown as Readonly<Record<string, Call>>;
  return kernels[kernel]!;
}

/** Arguments that go together: some draws do not. */
function draw(kernel: keyof Kernels, dice: Dice): Fields {
  for (let i = 0; i < 500; i++) {
    const args = drawArguments(kernel, dice);
    if (args) return args;
  }
  throw new Error(`${kernel}: no arguments in 500 draws`);
}

interface Placed {
  readonly plan: Plan;
  readonly span: Span;
  readonly image: Uint8Array;
}

function placeAll(backend: Backend, args: Fields, seed: Dice): { args: Fields; placed: Placed[] } {
  const placed: Placed[] = [];
  const made = withSpans(args, (plan) => {
    const there = place(backend, plan, seed.chance(0.75));
    placed.push({ plan, ...there });
    return there.span;
  });
  return { args: made as Fields, placed };
}

function freeAll(backend: Backend, placed: readonly Placed[]): void {
  for (const { span } of placed) backend.free(span.buffer);
}

async function contents(backend: Backend, { span, image }: Placed, what: string): Promise<Uint8Array> {
  const { buffer, offset, dtype, length } = span;
  const found = await backend.download({ buffer, offset: 0, dtype: 'u8', length: buffer.bytes });
  const end = offset + length * BYTES_PER_ELEMENT[dtype];
  for (let i = 0; i < found.length; i++)
    if ((i < offset || i >= end) && found[i] !== image[i])
      assert.fail(`${what}: ${backend.name} wrote outside a span, at byte ${i}`);
  return found.slice(offset, end);
}

function numbers(dtype: DType, { buffer, byteOffset, byteLength }: Uint8Array): ArrayLike<number> {
  if (dtype === 'u8') return new Uint8Array(buffer, byteOffset, byteLength);
  if (dtype === 'i32') return new Int32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === 'f32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  return dtype === 'bf16' ? bf16ToFloat32(halves) : f16ToFloat32(halves);
}

/** As far apart as roundings of float32 are over a few hundred terms, or of bfloat16 where factors are rounded to it. */
function assertAlike(
  dtype: DType,
  found: Uint8Array,
  wanted: Uint8Array,
  rounded: boolean,
  what: string,
): void {
  const [a, b] = [numbers(dtype, found), numbers(dtype, wanted)];
  let largest = 1;
  for (let i = 0; i < b.length; i++) if (Number.isFinite(b[i])) largest = Math.max(largest, Math.abs(b[i]!));
  const tolerance = rounded ? 2e-2 : 2e-5;
  for (let i = 0; i < b.length; i++) {
    if (Object.is(a[i], b[i]) || a[i] === b[i]) continue;
    assert.ok(
      Math.abs(a[i]! - b[i]!) <= tolerance * largest,
      `${what}: element ${i} is ${a[i]}, the reference's ${b[i]} (the largest is ${largest})`,
    );
  }
}

function isRounded(args: Fields): boolean {
  if (args['precision'] === 'bf16') return cpu.fastBf16;
  const products = args['products'] as Fields[] | undefined;
  return products?.some(isRounded) ?? false;
}

/** A wrong value in the place of a right one; `undefined` where none comes to mind. */
type Spoil = (value: unknown, dice: Dice) => unknown;

const foreign = reference.alloc(1 << 16);
const freed = cpu.alloc(1 << 16);
cpu.free(freed);
after(() => reference.free(foreign));

const DTYPES = Object.keys(BYTES_PER_ELEMENT) as DType[];
const NO_NUMBERS = [NaN, Infinity, -Infinity, -1, 0.5, 2 ** 53, 2 ** 62, '3', null, undefined, {}, 7n];
const NO_OBJECTS = [null, 0, 'x', undefined, true];

function wrongSpan(
  span: Span,
  rule: Extract<AnyRule, { kind: 'span' }>,
  part: Fields,
  parent?: Fields,
): Spoil {
  return (_, dice) => {
    const { buffer, offset, dtype, length } = span;
    const needed = rule.length(part, parent);
    const types =
      rule.types === 'activation'
        ? ['f32']
        : typeof rule.types === 'function'
          ? rule.types(part, parent)
          : rule.types;
    const other = DTYPES.filter((type) => !types.includes(type));
    const spoils: (() => unknown)[] = [
      () => dice.of(NO_OBJECTS),
      () => ({ ...span, buffer: freed }),
      () => ({ ...span, buffer: foreign }),
      () => ({ ...span, buffer: { bytes: 2 ** 50, handle: 0xdead000 } }),
      () => ({ ...span, buffer: undefined }),
      () => ({
        ...span,
        offset: dice.of([NaN, -4, -(2 ** 40), 2 ** 52, 0.5, '0', offset + buffer.bytes + 4]),
      }),
      () => ({ ...span, length: dice.of([NaN, -1, 2 ** 52, 0.5, '9', length + buffer.bytes + 1]) }),
      () => ({ ...span, dtype: dice.of(['f64', 'constructor', undefined]) }),
      ...(other.length > 0 ? [() => ({ ...span, dtype: dice.of(other) })] : []),
      ...(needed > 0
        ? [
            () => ({ ...span, length: dice.of([0, needed - 1]) }),
            () => ({ buffer, offset, dtype, length: 0 }),
          ]
        : []),
      ...(BYTES_PER_ELEMENT[dtype] > 1 && length > 0 ? [() => ({ ...span, offset: offset + 1 })] : []),
    ];
    return dice.of(spoils)();
  };
}

interface Place {
  readonly at: (string | number)[];
  readonly value: unknown;
}

/** One field of the arguments, at any depth, and what it might be spoilt to. */
function spoilOne(signature: AnySignature, fields: Fields, parent: Fields | undefined, dice: Dice): Place {
  const names = Object.keys(signature.rules).filter((name) => fields[name] !== undefined);
  const name = dice.of(names);
  const rule = signature.rules[name]!;
  const value = fields[name];
  const set = (spoilt: unknown): Place => ({ at: [name], value: spoilt });
  const within = (inner: AnySignature, part: Fields, ...at: (string | number)[]): Place => {
    const found = spoilOne(inner, part, fields, dice);
    return { at: [name, ...at, ...found.at], value: found.value };
  };
  switch (rule.kind) {
    case 'span':
      return set(wrongSpan(value as Span, rule, fields, parent)(value, dice));
    case 'size':
      return set(dice.of(NO_NUMBERS));
    case 'real':
      return set(dice.of(['1', null, undefined, {}]));
    case 'flag':
      return set(dice.of([1, 'true', null, {}]));
    case 'choice':
      return set(dice.of(['constructor', '__proto__', 17, null, {}]));
    case 'part':
      return dice.chance(0.2) ? set(dice.of([null, 3, 'x'])) : within(rule.signature, value as Fields);
    case 'list': {
      const parts = value as Fields[];
      if (parts.length === 0 || dice.chance(0.2)) return set(dice.of([null, {}, 3, [null], [{}]]));
      const i = dice.whole(0, parts.length - 1);
      return within(rule.signature, parts[i]!, i);
    }
    case 'matrix': {
      const matrix = value as Fields;
      if (dice.chance(0.3)) return set({ ...matrix, rows: (matrix['rows'] as number) + dice.of([-1, 1]) });
      const inner = matrix['kind'] === 'nf4' ? NF4 : DENSE;
      return within(inner as unknown as AnySignature, matrix);
    }
  }
}

function replaced(value: unknown, [first, ...rest]: (string | number)[], by: unknown): unknown {
  if (first === undefined) return by;
  if (Array.isArray(value))
    return value.map((part, i) => (i === first ? replaced(part, rest, by) : (part as unknown)));
  const fields = value as Fields;
  return { ...fields, [first]: replaced(fields[first], rest, by) };
}

for (const [number, kernel] of KERNELS.entries()) {
  const signature = SIGNATURES[kernel] as unknown as AnySignature;
  describe(kernel, () => {
    it('touches only its spans and does as the reference does', async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const dice = new Dice(number, round);
        const drawn = draw(kernel, dice);
        const what = `${kernel}, round ${round}`;
        const results: Uint8Array[][] = [];
        for (const backend of [cpu, reference]) {
          const { args, placed } = placeAll(backend, drawn, dice);
          kernelOf(backend, kernel)(args);
          const found: Uint8Array[] = [];
          for (const one of placed) found.push(await contents(backend, one, what));
          results.push(found);
          freeAll(backend, placed);
        }
        const plans: Plan[] = [];
        withSpans(drawn, (plan) => {
          plans.push(plan);
          return { buffer: foreign, offset: 0, dtype: plan.dtype, length: 0 };
        });
        for (const [i, { dtype }] of plans.entries())
          assertAlike(dtype, results[0]![i]!, results[1]![i]!, isRounded(drawn), `${what}, span ${i}`);
      }
    });

    it('refuses what the contract does not allow', () => {
      for (let round = 0; round < ROUNDS; round++) {
        const dice = new Dice(number, ROUNDS + round);
        const drawn = draw(kernel, dice);
        const { args, placed } = placeAll(cpu, drawn, dice);
        for (let i = 0; i < SPOILT; i++) {
          const { at, value } = spoilOne(signature, args, undefined, dice);
          // An optional argument may be left out.
          if (value === undefined) continue;
          const spoilt = replaced(args, at, value) as Fields;
          const what = `${kernel}, round ${round}: ${at.join('.')}`;
          assert.throws(
            () => kernelOf(cpu, kernel)(spoilt),
            (error) =>
              (error instanceof RangeError || error instanceof TypeError) && error.message.startsWith(kernel),
            what,
          );
        }
        freeAll(cpu, placed);
      }
    });
  });
}
