/**
 * Python's values as templates see them: None is null, an int is a bigint, a float is a number, a list is an array; what Python prints,
 * compares and hashes otherwise than JavaScript is done here as Python 3.11 does it.
 */

/** A template's fault, with its line once that is known. */
export class JinjaError extends Error {
  constructor(
    message: string,
    public line?: number,
  ) {
    super(message);
  }
}

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Value[]
  | Tuple
  | Dict
  | View
  | Range
  | Iterator
  | Undefined
  | Callable
  | Namespace
  | Markup;

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** A group of `groupby`, whose parts have names. */
export class Group extends Tuple {}

/** A string that `escape` or `safe` made. What else than printing and joining is done to it Python escapes by: that is refused. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What map, select and their like return: good for one pass. */
export class Iterator {
  #items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(): readonly Value[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }
  takeOne(): Value | undefined {
    const [first] = this.#items;
    this.#items = this.#items.slice(1);
    return first;
  }
}

export class Range {
  constructor(
    readonly start: bigint,
    readonly stop: bigint,
    readonly step: bigint,
  ) {}
  get length(): number {
    const { start, stop, step } = this;
    const span = step > 0n ? stop - start : start - stop;
    const by = step > 0n ? step : -step;
    return span <= 0n ? 0 : Number((span + by - 1n) / by);
  }
  at(i: number): bigint {
    return this.start + BigInt(i) * this.step;
  }
}

/** Of a dict: its keys, values or items, as it stands. */
export class View {
  constructor(
    readonly of: Dict,
    readonly kind: 'keys' | 'values' | 'items',
  ) {}
  get items(): Value[] {
    const entries = [...this.of.entries()];
    if (this.kind === 'items') return entries.map((entry) => new Tuple(entry));
    return entries.map(([key, value]) => (this.kind === 'keys' ? key : value));
  }
}

/** In the order of insertion; keys that Python holds equal, as 1 and 1.0, are one. */
export class Dict {
  readonly #entries = new Map<string, [Value, Value]>();
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }
  has(key: Value): boolean {
    return this.#entries.has(hashOf(key));
  }
  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    const there = this.#entries.get(hash);
    if (there) there[1] = value;
    else this.#entries.set(hash, [key, value]);
  }
  entries(): Iterable<[Value, Value]> {
    return this.#entries.values();
  }
  keys(): Value[] {
    return Array.from(this.#entries.values(), ([key]) => key);
  }
}

/** A text by which equal keys are equal. Throws JinjaError for what Python cannot hash. */
function hashOf(key: Value): string {
  if (typeof key === 'string') return `s${key}`;
  if (key === null) return 'none';
  if (typeof key === 'boolean') return `i${Number(key)}`;
  if (typeof key === 'bigint') return `i${key}`;
  if (typeof key === 'number') return Number.isInteger(key) ? `i${BigInt(key)}` : `f${key}`;
  if (key instanceof Tuple) return `t${JSON.stringify(key.items.map(hashOf))}`;
  if (key instanceof Markup) return `s${key.text}`;
  if (key instanceof Undefined) return 'undefined';
  throw new JinjaError(`unhashable type: '${typeName(key)}'`);
}

/** What a name, attribute or item that is not there gives: nothing when printed, an error in most other uses. */
export class Undefined {
  constructor(readonly message: string) {}
  fail(): never {
    throw new JinjaError(this.message);
  }
}

export class Namespace {
  readonly attributes = new Map<string, Value>();
}

export interface CallArguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** Something that can be called; `attributes` are what else it has, as a loop's or a macro's. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: CallArguments) => Value,
    readonly attributes?: (name: string) => Value | undefined,
    readonly type = 'function',
  ) {}
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'string') return 'str';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof Range) return 'range';
  if (value instanceof View) return `dict_${value.kind}`;
  if (value instanceof Iterator) return 'generator';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Markup) return 'Markup';
  return value.type;
}

/** The first that is there; `??` would pass over None. */
export function known<T>(value: Value | undefined, otherwise: () => T): Value | T {
  return value === undefined ? otherwise() : value;
}

/** A fault that jinja2 tells as Python's TypeError or ValueError. */
export function fault(message: string): never {
  throw new JinjaError(message);
}

/** What this engine would not do as jinja2 does it. */
export function refuse(what: string): never {
  throw new JinjaError(`${what} is not supported here`);
}

/** A value of JSON, or of a caller, as a template's. Whole numbers are ints, since JSON's 1 and 1.0 are one number here. */
export function toValue(value: unknown): Value {
  if (value === null) return null;
  if (value === undefined) return new Undefined('a value is undefined');
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (Array.isArray(value)) return value.map(toValue);
  if (value instanceof Iterator) return value;
  if (typeof value === 'object') {
    const dict = new Dict();
    for (const [key, entry] of Object.entries(value)) if (entry !== undefined) dict.set(key, toValue(entry));
    return dict;
  }
  return refuse(`a ${typeof value} among the messages`);
}

/** Characters, as Python counts them. */
export function characters(text: string): string[] {
  return Array.from(text);
}

export const ASTRAL = /[\ud800-\udfff]/;

export function lengthOf(value: Value): number {
  if (typeof value === 'string') return ASTRAL.test(value) ? characters(value).length : value.length;
  if (Array.isArray(value) || value instanceof Range) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof View) return value.of.size;
  if (value instanceof Markup) return lengthOf(value.text);
  if (value instanceof Undefined) return 0;
  return fault(`object of type '${typeName(value)}' has no len()`);
}

/** Throws JinjaError for what cannot be gone through. */
export function iterate(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return characters(value);
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof Iterator) return value.take();
  if (value instanceof Range) return Array.from({ length: value.length }, (_, i) => value.at(i));
  if (value instanceof Undefined) return [];
  if (value instanceof Markup) return refuse('going through an escaped string');
  return fault(`'${typeName(value)}' object is not iterable`);
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return value !== 0n;
  if (typeof value === 'number') return value !== 0;
  if (typeof value === 'string') return value !== '';
  if (value instanceof Markup) return value.text !== '';
  if (
    Array.isArray(value) ||
    value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof Range ||
    value instanceof View
  )
    return lengthOf(value) > 0;
  return true;
}

type Numeric = boolean | bigint | number;
export const isNumeric = (value: Value): value is Numeric =>
  typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean';

/** A bool counts as an int. */
export const plain = (value: Numeric): bigint | number =>
  typeof value === 'boolean' ? BigInt(value) : value;

/** An index from the front or, below zero, from the back; undefined outside. */
export function place(index: bigint | boolean, length: number): number | undefined {
  const at = Number(index) < 0 ? Number(index) + length : Number(index);
  return at >= 0 && at < length ? at : undefined;
}

/** As jinja2 names an object in its errors. */
export function described(value: Value): string {
  if (value === null) return 'None';
  if (value instanceof Callable) return `${value.type} object`;
  return `${typeName(value)} object`;
}
