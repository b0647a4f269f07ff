/**
 * What an argument of a kernel may be, as data: signatures.ts is made of these, checked.ts checks by them, and the tests draw arguments
 * from them. A rule's functions see the object that the argument is a field of, and the object around that one: of a nested argument the
 * kernel's own.
 */

import type { DType, Matrix, Span } from './span.js';

/** What of a backend decides about arguments. */
export interface Limits {
  /** The types that it takes for activations. */
  readonly activations: readonly DType[];
  /** The most elements of an attention head. */
  readonly headDim: number;
}

type Of<P, Q, V> = (part: P, parent: Q) => V;

/** Types by name, or by what else stands in the call; 'activation': those of the backend. */
export type Types<P, Q> = 'activation' | readonly DType[] | Of<P, Q, readonly DType[]>;

export interface SpanRule<P, Q> {
  readonly kind: 'span';
  readonly types: Types<P, Q>;
  /** The least length, in elements. Every size was checked before. */
  readonly length: Of<P, Q, number>;
  /**
   * Of indices, the first number that is none: what a device holds cannot be looked at here, so whoever uploads indices checks them.
   * `negative`: numbers below 0 mean something, too.
   */
  readonly below?: Of<P, Q, number> | undefined;
  readonly negative?: boolean;
}

/** A whole number, and never so large that a sum of bytes is rounded. */
export interface SizeRule {
  readonly kind: 'size';
  readonly least: number;
  readonly most: number | ((limits: Limits) => number);
}

/** A number for arithmetic alone, which harms no memory: any, or one of a range. */
export interface RealRule {
  readonly kind: 'real';
  readonly within: (value: number) => boolean;
  readonly wanted: string;
}

export interface FlagRule {
  readonly kind: 'flag';
}

export interface ChoiceRule<V> {
  readonly kind: 'choice';
  readonly values: readonly V[];
}

export interface PartRule<V, P> {
  readonly kind: 'part';
  readonly signature: Signature<V, P>;
}

export interface ListRule<V, P> {
  readonly kind: 'list';
  readonly signature: Signature<V, P>;
}

/** A matrix of a size that the call says: dense, or in NF4 where that is among its kinds. */
export interface MatrixRule<P, Q> {
  readonly kind: 'matrix';
  readonly kinds: readonly Matrix['kind'][];
  readonly rows: Of<P, Q, number>;
  readonly cols: Of<P, Q, number>;
}

type RuleOf<V, P, Q> = [V] extends [Span]
  ? SpanRule<P, Q>
  : [Matrix] extends [V]
    ? MatrixRule<P, Q>
    : [V] extends [boolean]
      ? FlagRule
      : [V] extends [number]
        ? number extends V
          ? SizeRule | RealRule
          : ChoiceRule<V>
        : [V] extends [string]
          ? ChoiceRule<V>
          : [V] extends [readonly (infer E)[]]
            ? ListRule<E, P>
            : PartRule<V, P>;

/** A rule for every field: one that is missing, or too many, does not compile. */
export type Rules<P, Q> = {
  readonly [N in keyof P]-?: undefined extends P[N]
    ? RuleOf<NonNullable<P[N]>, P, Q> & { readonly optional: true }
    : RuleOf<P[N], P, Q> & { readonly optional?: never };
};

export interface Signature<P, Q = undefined> {
  readonly rules: Rules<P, Q>;
  /** What has to hold among arguments; each says what is wrong where it does not. */
  readonly conditions?: readonly Of<P, Q, string | undefined>[];
}

/** Rules and signatures without the types of what they are of, for those that walk over a table of them. */
export type AnyRule = { readonly optional?: boolean } & (
  | SpanRule<object, object | undefined>
  | SizeRule
  | RealRule
  | FlagRule
  | ChoiceRule<unknown>
  | MatrixRule<object, object | undefined>
  | { readonly kind: 'part' | 'list'; readonly signature: AnySignature }
);

export interface AnySignature {
  readonly rules: Readonly<Record<string, AnyRule>>;
  readonly conditions?: readonly Of<object, object | undefined, string | undefined>[];
}

export const F32 = ['f32'] as const;
export const I32 = ['i32'] as const;
export const U8 = ['u8'] as const;
export const NUMBERS = ['f32', 'bf16', 'f16'] as const;
const ONLY: Readonly<Record<DType, readonly DType[]>> = {
  ...{ f32: F32, bf16: ['bf16'], f16: ['f16'], i32: I32, u8: U8 },
};

/** A span's type alone. */
export function typeOf(span: Span): readonly DType[] {
  return ONLY[span.dtype];
}

export function span<P, Q>(
  types: Types<NoInfer<P>, NoInfer<Q>>,
  length: Of<NoInfer<P>, NoInfer<Q>, number>,
): SpanRule<P, Q> {
  return { kind: 'span', types, length };
}

/** i32 numbers from 0 to less than `below`. */
export function indices<P, Q>(
  length: Of<NoInfer<P>, NoInfer<Q>, number>,
  below: Of<NoInfer<P>, NoInfer<Q>, number>,
): SpanRule<P, Q> {
  return { kind: 'span', types: I32, length, below };
}

/** Kernels count what they divide among threads and blocks in 31 bits; only plain lengths may be larger. */
export const MOST = 2 ** 31 - 1;

export function size(least: number, most: SizeRule['most'] = MOST): SizeRule {
  return { kind: 'size', least, most };
}

/** A count of elements. */
export const ELEMENTS = size(0, Number.MAX_SAFE_INTEGER);
/** A count of things that may be none, and of such as are at least one. */
export const COUNT = size(0);
export const DIMENSION = size(1);
export const WORD = size(0, 2 ** 32 - 1);
export const FLAG: FlagRule = { kind: 'flag' };
/** A number that is only calculated with. */
export const REAL: RealRule = { kind: 'real', within: () => true, wanted: 'a number' };

export function real(wanted: string, within: (value: number) => boolean): RealRule {
  return { kind: 'real', within, wanted };
}

/** One of some words or numbers, all of them named. */
export function choice<V extends string>(values: Readonly<Record<V, true>>): ChoiceRule<V> {
  return { kind: 'choice', values: Object.keys(values) as V[] };
}

export function part<V, P>(signature: Signature<V, P>): PartRule<V, P> {
  return { kind: 'part', signature };
}

export function list<V, P>(signature: Signature<V, P>): ListRule<V, P> {
  return { kind: 'list', signature };
}

export function optional<R extends object>(rule: R): R & { readonly optional: true } {
  return { ...rule, optional: true };
}
