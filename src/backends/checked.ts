/**
 * Every kernel of every backend behind checks of its arguments, made of signatures.ts: native code sees nothing that it could not bear.
 * A kernel's check is written as source text of its own and compiled, once a backend: a decoding step of a small model is sixty calls of
 * some microseconds each, and one function that walks over the rules of all kernels would take a tenth of its time.
 */

import type { Backend, Recording } from './contract.js';
import { BYTES_PER_ELEMENT, type DeviceBuffer, type DType, type Span } from './span.js';
import type { Kernels } from './kernels.js';
import type { AnyRule, AnySignature, Limits } from './rules.js';
import { DENSE, NF4, SIGNATURES } from './signatures/index.js';

declare const CHECKED: unique symbol;

/** A backend that checks what it is given. */
export type CheckedBackend = Backend & { readonly [CHECKED]: true };

/** On a buffer: the backend that it is of, until it is freed. */
const OWNER = Symbol('owner');
type Owned = DeviceBuffer & { [OWNER]?: Owner | undefined };

/** One for each backend. */
class Owner {
  /** The buffers that a recording which is under way has to do with. */
  recorded: Set<Owned> | undefined;

  /** Whether a span is within live memory of the backend. */
  holds(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    const { buffer, offset, dtype, length } = value as Omit<Span, 'buffer'> & { readonly buffer?: Owned };
    const width = dtype === 'f32' ? 4 : BYTES_PER_ELEMENT[dtype];
    if (
      !buffer ||
      buffer[OWNER] !== this ||
      !Number.isInteger(length) ||
      !Number.isInteger(offset) ||
      length < 0 ||
      offset < 0 ||
      offset % width !== 0 ||
      !(offset + length * width <= buffer.bytes)
    )
      return false;
    this.recorded?.add(buffer);
    return true;
  }

  /** What is wrong with a value that should be a span within live memory, if anything is. */
  fault(what: string, value: unknown): Error | undefined {
    if (this.holds(value)) return undefined;
    const { buffer, offset, dtype, length } = (value ?? {}) as Partial<Span>;
    const width = dtype && BYTES_PER_ELEMENT[dtype];
    if (!buffer || width === undefined || typeof length !== 'number' || typeof offset !== 'number')
      return unlike(what, value, 'a span of memory');
    return (buffer as Owned)[OWNER] === this
      ? new RangeError(
          `${what}: ${length} elements of ${dtype} from byte ${offset} on are no part of a buffer of ${buffer.bytes} bytes`,
        )
      : new RangeError(`${what} is in memory that was freed, or that is not this backend's`);
  }
}

type Kernel = (args: object) => void;
type Rule<Kind extends AnyRule['kind']> = Extract<AnyRule, { readonly kind: Kind }>;

/**
 * `backend` with its kernels and its memory behind checks: arguments that the contract does not allow, spans that reach beyond their
 * buffer, buffers that were freed or are another backend's are RangeErrors or TypeErrors that name kernel and argument.
 */
export function checkedBackend(backend: Backend, limits: Limits): CheckedBackend {
  const owner = new Owner();
  const unchecked = backend.kernels as unknown as Readonly<Record<string, Kernel>>;
  const kernels = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, signature]) => [
      name,
      new Source(limits, owner).kernel(name, signature as unknown as AnySignature, unchecked[name]!),
    ]),
  ) as unknown as Kernels;
  const checkSpan = (what: string, span: Span): void => {
    const fault = owner.fault(what, span);
    if (fault) throw fault;
  };
  return {
    ...backend,
    kernels,
    alloc(bytes, place) {
      if (!Number.isSafeInteger(bytes) || bytes < 0)
        throw new RangeError(`alloc: ${String(bytes)} is no number of bytes`);
      const buffer: Owned = backend.alloc(bytes, place);
      buffer[OWNER] = owner;
      return buffer;
    },
    free(buffer) {
      if ((buffer as Owned)[OWNER] !== owner)
        throw new RangeError("free: the memory was freed before, or is not this backend's");
      (buffer as Owned)[OWNER] = undefined;
      backend.free(buffer);
    },
    upload(data, to) {
      if (owner.recorded) throw new RangeError('upload: a recording is under way, which has none');
      checkSpan('upload: to', to);
      const room = to.length * BYTES_PER_ELEMENT[to.dtype];
      if (data.byteLength > room)
        throw new RangeError(`upload: ${data.byteLength} bytes do not fit into ${room}`);
      backend.upload(data, to);
    },
    record(body) {
      if (owner.recorded) throw new RangeError('record: a recording is under way');
      const recorded = (owner.recorded = new Set<Owned>());
      let recording: Recording;
      try {
        recording = backend.record(body);
      } finally {
        owner.recorded = undefined;
      }
      // What it allocated and freed is its own; the rest has to live when it runs.
      const lent = [...recorded].filter((buffer) => buffer[OWNER] === owner);
      let disposed = false;
      return {
        run() {
          if (disposed) throw new RangeError('run: the recording was disposed of');
          if (lent.some((buffer) => buffer[OWNER] !== owner))
            throw new RangeError('run: memory that the recording has to do with was freed');
          recording.run();
        },
        dispose() {
          if (disposed) return;
          disposed = true;
          recording.dispose();
        },
      };
    },
    download(from) {
      if (owner.recorded) throw new RangeError('download: a recording is under way, which has none');
      checkSpan('download: from', from);
      return backend.download(from);
    },
  } as CheckedBackend;
}

/** The names of an object and of the object around it, in the source. */
interface Place {
  readonly part: string;
  readonly parent: string;
}

/** Source text of one kernel's check. What is no text in it (functions of rules, errors) are constants, c0, c1, … */
class Source {
  private readonly constants: unknown[] = [];
  private names = 0;

  constructor(
    private readonly limits: Limits,
    private readonly owner: Owner,
  ) {}

  /** `kernel` behind its check. */
  kernel(name: string, signature: AnySignature, kernel: Kernel): Kernel {
    const check = this.object(name, 'args', 'undefined', signature);
    const run = this.constant(kernel);
    const constants = this.constants.map((_, i) => `c${i}`).join(', ');
    // No text in it is from outside: it is made of the names and numbers of signatures.ts.
    // eslint-disable-next-line @typescript-eslint/no-implied-eval
    const make = new Function(
      'constants',
      `'use strict'; const [${constants}] = constants; return (args) => { ${check} ${run}(args); };`,
    ) as (constants: readonly unknown[]) => Kernel;
    return make(this.constants);
  }

  private constant(value: unknown): string {
    return `c${this.constants.push(value) - 1}`;
  }

  private fresh(): string {
    return `v${this.names++}`;
  }

  /** Throws what `fault` makes of these, which are in the source. */
  private throws(fault: (...values: never[]) => Error, ...values: string[]): string {
    return `throw ${this.constant(fault)}(${values.join(', ')});`;
  }

  /** Checks the object called `part`. Sizes come first, for lengths are made of them. */
  private object(
    what: string,
    part: string,
    parent: string,
    { rules, conditions = [] }: AnySignature,
  ): string {
    const isSize = (rule: AnyRule): number => (isOfMemory(rule) ? 1 : 0);
    const entries = Object.entries(rules).sort(([, a], [, b]) => isSize(a) - isSize(b));
    const separator = what.includes(':') ? '.' : ': ';
    const place = { part, parent };
    const fields = entries.map(([name, rule]) => {
      const value = this.fresh();
      const check = this.rule(`${what}${separator}${name}`, value, rule, place);
      return `const ${value} = ${part}.${name}; ${rule.optional ? `if (${value} !== undefined) { ${check} }` : check}`;
    });
    const others = conditions.map((condition) => {
      const fault = this.fresh();
      const error = this.throws((text: string) => new RangeError(`${what}: ${text}`), fault);
      return `const ${fault} = ${this.constant(condition)}(${part}, ${parent}); if (${fault} !== undefined) ${error}`;
    });
    const error = this.throws((value: unknown) => unlike(what, value, 'an object'), part);
    return `if (typeof ${part} !== 'object' || ${part} === null) ${error} ${[...fields, ...others].join('\n')}`;
  }

  /** Checks the value called `value`, a field of an object. */
  private rule(what: string, value: string, rule: AnyRule, place: Place): string {
    switch (rule.kind) {
      case 'span':
        return this.span(what, value, rule, place);
      case 'size': {
        const most = typeof rule.most === 'number' ? rule.most : rule.most(this.limits);
        const wanted = `a whole number from ${rule.least} to ${most}`;
        const error = this.throws((found: unknown) => unlike(what, found, wanted), value);
        return `if (!Number.isInteger(${value}) || ${value} < ${rule.least} || ${value} > ${most}) ${error}`;
      }
      case 'real': {
        const error = this.throws((found: unknown) => unlike(what, found, rule.wanted), value);
        return `if (typeof ${value} !== 'number' || !${this.constant(rule.within)}(${value})) ${error}`;
      }
      case 'flag': {
        const error = this.throws((found: unknown) => unlike(what, found, 'true or false'), value);
        return `if (typeof ${value} !== 'boolean') ${error}`;
      }
      case 'choice': {
        const error = this.throws((found: unknown) => unlike(what, found, rule.values.join(' or ')), value);
        return `if (${rule.values.map((known) => `${value} !== ${JSON.stringify(known)}`).join(' && ')}) ${error}`;
      }
      case 'part':
        return this.object(what, value, place.part, rule.signature);
      case 'list': {
        const [at, element] = [this.fresh(), this.fresh()];
        const error = this.throws((found: unknown) => unlike(what, found, 'a list'), value);
        const check = this.object(what, element, place.part, rule.signature);
        return `if (!Array.isArray(${value})) ${error}
          for (let ${at} = 0; ${at} < ${value}.length; ${at}++) { const ${element} = ${value}[${at}]; ${check} }`;
      }
      case 'matrix':
        return this.matrix(what, value, rule, place);
    }
  }

  private span(what: string, value: string, rule: Rule<'span'>, { part, parent }: Place): string {
    const { types, length: lengthOf } = rule;
    const allowed = types === 'activation' ? this.limits.activations : types;
    const isOther =
      typeof allowed === 'function'
        ? `!${this.constant(allowed)}(${part}, ${parent}).includes(${value}.dtype)`
        : allowed.map((type) => `${value}.dtype !== '${type}'`).join(' && ');
    const needed = `${this.constant(lengthOf)}(${part}, ${parent})`;
    const error = this.throws(
      (found: unknown, part: object, parent: object | undefined) =>
        this.owner.fault(what, found) ??
        needFault(
          what,
          found as Span,
          typeof allowed === 'function' ? allowed(part, parent) : allowed,
          lengthOf(part, parent),
        ),
      ...[value, part, parent],
    );
    return `if (!${this.constant(this.owner)}.holds(${value}) || (${isOther}) || !(${value}.length >= ${needed})) ${error}`;
  }

  private matrix(what: string, value: string, rule: Rule<'matrix'>, { part, parent }: Place): string {
    const { kinds } = rule;
    const wanted = `a matrix: ${kinds.join(' or ')}`;
    const error = this.throws((found: unknown) => unlike(what, found, wanted), value);
    const signatures = { dense: DENSE, nf4: NF4 } as unknown as Readonly<Record<string, AnySignature>>;
    const checks = kinds.map(
      (kind) =>
        `if (${value}.kind === '${kind}') { ${this.object(what, value, part, signatures[kind]!)} } else`,
    );
    const [rows, cols] = [this.fresh(), this.fresh()];
    const other = this.throws(
      (found: Readonly<Record<'rows' | 'cols', number>>, rows: number, cols: number) =>
        new RangeError(`${what} is [${found.rows}, ${found.cols}], the product wants [${rows}, ${cols}]`),
      ...[value, rows, cols],
    );
    return `if (typeof ${value} !== 'object' || ${value} === null) ${error} ${checks.join(' ')} ${error}
      const ${rows} = ${this.constant(rule.rows)}(${part}, ${parent}), ${cols} = ${this.constant(rule.cols)}(${part}, ${parent});
      if (${value}.rows !== ${rows} || ${value}.cols !== ${cols}) ${other}`;
  }
}

function isOfMemory({ kind }: AnyRule): boolean {
  return kind === 'span' || kind === 'matrix' || kind === 'part' || kind === 'list';
}

/** What is wrong with a span that is of another type, or else too short. */
function needFault(what: string, span: Span, allowed: readonly DType[], needed: number): Error {
  const { dtype, length } = span;
  return allowed.includes(dtype)
    ? new RangeError(`${what} has ${length} elements, needs ${needed}`)
    : new TypeError(`${what} is ${dtype}, wanted ${allowed.join(' or ')}`);
}

/** A RangeError for a number or a word that is none of those wanted, else a TypeError. */
function unlike(what: string, value: unknown, wanted: string): Error {
  const message = `${what} is ${shown(value)}, wanted ${wanted}`;
  return typeof value === 'number' || typeof value === 'string'
    ? new RangeError(message)
    : new TypeError(message);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return Array.isArray(value) ? 'a list' : typeof value === 'object' && value ? 'an object' : String(value);
}
