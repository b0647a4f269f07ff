/**
 * Every kernel of every backend behind checks of its arguments, made of signatures.ts: native code sees nothing that it could not bear.
 * Checkers are put together once; a call runs through plain loops and allocates nothing.
 */

import { BYTES_PER_ELEMENT, type Backend, type DeviceBuffer, type DType, type Span } from './contract.js';
import type { Kernels } from './kernels.js';
import type { AnyRule, AnySignature, Limits } from './rules.js';
import { DENSE, NF4, SIGNATURES } from './signatures.js';

declare const CHECKED: unique symbol;

/** A backend that checks what it is given. */
export type CheckedBackend = Backend & { readonly [CHECKED]: true };

/** On a buffer: the backend that it is of, until it is freed. A property, for a set of them would cost as much as all other checks. */
const OWNER = Symbol('owner');
type Owned = DeviceBuffer & { [OWNER]?: object | undefined };
type Parent = object | undefined;
/** Throws RangeError or TypeError. */
type Check = (value: unknown, part: object, parent: Parent) => void;
type Rule<Kind extends AnyRule['kind']> = Extract<AnyRule, { readonly kind: Kind }>;

/**
 * `backend` with its kernels and its memory behind checks: arguments that the contract does not allow, spans that reach beyond their
 * buffer, buffers that were freed or are another backend's are RangeErrors or TypeErrors that name kernel and argument.
 */
export function checkedBackend(backend: Backend, limits: Limits): CheckedBackend {
  const owner = {};
  const unchecked = backend.kernels as unknown as Readonly<Record<string, (args: object) => void>>;
  const kernels = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, signature]) => {
      const kernel = unchecked[name]!;
      const check = checkOf(name, signature as unknown as AnySignature, limits, owner);
      return [
        name,
        (args: object): void => {
          check(args, args, undefined);
          kernel(args);
        },
      ];
    }),
  ) as unknown as Kernels;
  return {
    ...backend,
    kernels,
    alloc(bytes, place) {
      if (!Number.isSafeInteger(bytes) || bytes < 0)
        throw new RangeError(`alloc: ${String(bytes)} is no number of bytes`);
      const buffer = backend.alloc(bytes, place);
      (buffer as Owned)[OWNER] = owner;
      return buffer;
    },
    free(buffer) {
      if ((buffer as Owned)[OWNER] !== owner)
        throw new RangeError("free: the memory was freed before, or is not this backend's");
      (buffer as Owned)[OWNER] = undefined;
      backend.free(buffer);
    },
    upload(data, to) {
      checkSpan('upload: to', to, owner);
      const room = to.length * BYTES_PER_ELEMENT[to.dtype];
      if (data.byteLength > room)
        throw new RangeError(`upload: ${data.byteLength} bytes do not fit into ${room}`);
      backend.upload(data, to);
    },
    download(from) {
      checkSpan('download: from', from, owner);
      return backend.download(from);
    },
  } as CheckedBackend;
}

/** The check of an object by its signature; `what` names it. Sizes come first, for lengths are made of them. */
function checkOf(what: string, { rules, conditions = [] }: AnySignature, limits: Limits, owner: object): Check {
  const entries = Object.entries(rules).sort(([, a], [, b]) => Number(isOfMemory(a)) - Number(isOfMemory(b)));
  const separator = what.includes(':') ? '.' : ': ';
  const names = entries.map(([name]) => name);
  const checks = entries.map(([name, rule]) => checkOfRule(`${what}${separator}${name}`, rule, limits, owner));
  const optional = entries.map(([, rule]) => rule.optional === true);
  return (value, _, parent) => {
    if (typeof value !== 'object' || value === null)
      throw new TypeError(`${what} is ${shown(value)}, wanted an object`);
    const fields = value as Readonly<Record<string, unknown>>;
    for (let i = 0; i < names.length; i++) {
      const field = fields[names[i]!];
      if (field !== undefined || !optional[i]) checks[i]!(field, value, parent);
    }
    for (let i = 0; i < conditions.length; i++) {
      const fault = conditions[i]!(value, parent);
      if (fault !== undefined) throw new RangeError(`${what}: ${fault}`);
    }
  };
}

function isOfMemory({ kind }: AnyRule): boolean {
  return kind === 'span' || kind === 'matrix' || kind === 'part' || kind === 'list';
}

function checkOfRule(what: string, rule: AnyRule, limits: Limits, owner: object): Check {
  switch (rule.kind) {
    case 'span':
      return checkOfSpan(what, rule, limits, owner);
    case 'size':
      return checkOfSize(what, rule, limits);
    case 'real': {
      const { within, wanted } = rule;
      return (value) => {
        if (typeof value !== 'number') throw new TypeError(`${what} is ${shown(value)}, wanted ${wanted}`);
        if (!within(value)) throw new RangeError(`${what} is ${value}, wanted ${wanted}`);
      };
    }
    case 'flag':
      return (value) => {
        if (typeof value !== 'boolean')
          throw new TypeError(`${what} is ${shown(value)}, wanted true or false`);
      };
    case 'choice': {
      const { values } = rule;
      return (value) => {
        if (!values.includes(value))
          throw new RangeError(`${what} is ${shown(value)}, wanted ${values.join(' or ')}`);
      };
    }
    case 'part': {
      const check = checkOf(what, rule.signature, limits, owner);
      return (value, part) => check(value, part, part);
    }
    case 'list': {
      const check = checkOf(what, rule.signature, limits, owner);
      return (value, part) => {
        if (!Array.isArray(value)) throw new TypeError(`${what} is ${shown(value)}, wanted a list`);
        for (let i = 0; i < value.length; i++) check(value[i], part, part);
      };
    }
    case 'matrix':
      return checkOfMatrix(what, rule, limits, owner);
  }
}

function checkOfSize(what: string, rule: Rule<'size'>, limits: Limits): Check {
  const { least } = rule;
  const most = typeof rule.most === 'number' ? rule.most : rule.most(limits);
  return (value) => {
    if (typeof value !== 'number') throw new TypeError(`${what} is ${shown(value)}, wanted a whole number`);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new RangeError(`${what} is ${value}, wanted a whole number from ${least} to ${most}`);
  };
}

function checkOfSpan(what: string, rule: Rule<'span'>, limits: Limits, owner: object): Check {
  const { types, length: lengthOf } = rule;
  const fixed = typeof types === 'function' ? undefined : types === 'activation' ? limits.activations : types;
  return (value, part, parent) => {
    const { dtype, length } = checkSpan(what, value, owner);
    const allowed = fixed ?? (types as Exclude<typeof types, 'activation' | readonly DType[]>)(part, parent);
    if (dtype !== allowed[0] && !allowed.includes(dtype)) throw new TypeError(`${what} is ${dtype}, wanted ${allowed.join(' or ')}`);
    const needed = lengthOf(part, parent);
    if (!(length >= needed)) throw new RangeError(`${what} has ${length} elements, needs ${needed}`);
  };
}

function checkOfMatrix(what: string, rule: Rule<'matrix'>, limits: Limits, owner: object): Check {
  const { kinds } = rule;
  const dense = checkOf(what, DENSE as unknown as AnySignature, limits, owner);
  const nf4 = checkOf(what, NF4 as unknown as AnySignature, limits, owner);
  return (value, part, parent) => {
    const { kind, rows, cols } = (value ?? {}) as Partial<Record<'kind' | 'rows' | 'cols', unknown>>;
    if (!(kinds as readonly unknown[]).includes(kind))
      throw new TypeError(`${what} is ${shown(kind)}, wanted a matrix: ${kinds.join(' or ')}`);
    (kind === 'nf4' ? nf4 : dense)(value, part, part);
    const [wantedRows, wantedCols] = [rule.rows(part, parent), rule.cols(part, parent)];
    if (rows !== wantedRows || cols !== wantedCols)
      throw new RangeError(
        `${what} is [${String(rows)}, ${String(cols)}], the product wants [${wantedRows}, ${wantedCols}]`,
      );
  };
}

/** A value that is a span within live memory; `what` names it. */
function checkSpan(what: string, value: unknown, owner: object): Span {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${what} is ${shown(value)}, wanted a span of memory`);
  const span = value as Span;
  const { buffer, offset, dtype, length } = span;
  if (buffer === undefined) throw new TypeError(`${what} is an object, wanted a span of memory`);
  const width = dtype === 'f32' || dtype === 'i32' ? 4 : BYTES_PER_ELEMENT[dtype];
  if ((buffer as Owned)[OWNER] !== owner)
    throw new RangeError(`${what} lies in memory that was freed, or that is not this backend's`);
  if (
    !Number.isInteger(length) ||
    !Number.isInteger(offset) ||
    length < 0 ||
    offset < 0 ||
    offset % width !== 0 ||
    !(offset + length * width <= buffer.bytes)
  )
    throw new RangeError(
      `${what}: ${length} elements of ${dtype} from byte ${offset} on are no part of a buffer of ${buffer.bytes} bytes`,
    );
  return span;
}

/** A value in a message. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return Array.isArray(value) ? 'a list' : typeof value === 'object' && value ? 'an object' : String(value);
}
