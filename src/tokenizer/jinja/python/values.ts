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

const ASTRAL = /[\ud800-\udfff]/;

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

export function isEqual(a: Value, b: Value): boolean {
  if (a === b) return true;

  if (isNumeric(a) && isNumeric(b)) return plain(a) == plain(b);
  if (typeof a === 'string' || typeof b === 'string' || a instanceof Markup || b instanceof Markup)
    return textOf(a) !== undefined && textOf(a) === textOf(b);
  if (Array.isArray(a) && Array.isArray(b)) return areEqual(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return areEqual(a.items, b.items);
  if (a instanceof Range && b instanceof Range) return areEqual(iterate(a), iterate(b));
  if (a instanceof Dict && b instanceof Dict)
    return (
      a.size === b.size && [...a.entries()].every(([key, value]) => b.has(key) && isEqual(value, b.get(key)!))
    );
  if (a instanceof View && b instanceof View) return refuse('comparing views of dicts');
  return a instanceof Undefined && b instanceof Undefined;
}

const areEqual = (a: readonly Value[], b: readonly Value[]): boolean =>
  a.length === b.length && a.every((item, i) => isEqual(item, b[i]!));

const textOf = (value: Value): string | undefined =>
  typeof value === 'string' ? value : value instanceof Markup ? value.text : undefined;

/** Below, at and above 0 for a before, equal to and behind b; NaN compares as nothing. Throws JinjaError for what has no order. */
export function compare(a: Value, b: Value, sign = '<'): number {
  if (isNumeric(a) && isNumeric(b)) {
    const [x, y] = [plain(a), plain(b)];
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : Number.NaN;
  }
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  const [x, y] = [itemsOf(a, b), itemsOf(b, a)];
  if (x && y) {
    for (let i = 0; i < Math.min(x.length, y.length); i++)
      if (!isEqual(x[i]!, y[i]!)) return compare(x[i]!, y[i]!, sign);
    return x.length - y.length;
  }
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  return fault(`'${sign}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

function itemsOf(value: Value, other: Value): readonly Value[] | undefined {
  if (Array.isArray(value) && Array.isArray(other)) return value;
  return value instanceof Tuple && other instanceof Tuple ? value.items : undefined;
}

/** By characters: UTF-16's order is another beyond U+FFFF. */
function compareTexts(a: string, b: string): number {
  if (!ASTRAL.test(a) && !ASTRAL.test(b)) return a < b ? -1 : a > b ? 1 : 0;
  const [x, y] = [characters(a), characters(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++)
    if (x[i] !== y[i]) return x[i]!.codePointAt(0)! - y[i]!.codePointAt(0)!;
  return x.length - y.length;
}

export function contains(container: Value, item: Value): boolean {
  if (typeof container === 'string') {
    if (typeof item === 'string') return container.includes(item);
    if (item instanceof Undefined) item.fail();
    return fault(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Dict) return container.has(item);
  if (container instanceof View && container.kind === 'keys') return container.of.has(item);
  if (
    container === null ||
    isNumeric(container) ||
    container instanceof Callable ||
    container instanceof Namespace
  )
    return fault(`argument of type '${typeName(container)}' is not iterable`);
  return iterate(container).some((entry) => isEqual(entry, item));
}

/** str(value). */
export function print(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return '';
  return repr(value);
}

/** repr(value). Throws JinjaError for what prints an address in memory. */
export function repr(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return printFloat(value);
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${repr(value.items[0]!)},)` : `(${value.items.map(repr).join(', ')})`;
  if (value instanceof Dict)
    return `{${Array.from(value.entries(), ([key, entry]) => `${repr(key)}: ${repr(entry)}`).join(', ')}}`;
  if (value instanceof View) return `dict_${value.kind}(${repr(value.items)})`;
  if (value instanceof Range)
    return `range(${value.start}, ${value.stop}${value.step === 1n ? '' : `, ${value.step}`})`;
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (value instanceof Undefined) return 'Undefined';
  return refuse(`printing a ${typeName(value)}`);
}

/** The shortest digits that give the number back, laid out as Python does. */
export function printFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const [, sign, first, more = '', exponent] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(
    value.toExponential(),
  )!;
  const minus = Object.is(value, -0) ? '-' : sign!;
  const power = Number(exponent);
  const digits = first! + more;
  if (power < -4 || power >= 16) {
    const two = String(Math.abs(power)).padStart(2, '0');
    return `${minus}${first!}${more && `.${more}`}e${power < 0 ? '-' : '+'}${two}`;
  }
  if (power < 0) return `${minus}0.${'0'.repeat(-power - 1)}${digits}`;
  const whole = digits.slice(0, power + 1).padEnd(power + 1, '0');
  return `${minus}${whole}.${digits.slice(power + 1) || '0'}`;
}

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = quote;
  for (const sign of text) {
    const code = sign.codePointAt(0)!;
    if (sign === quote) out += `\\${sign}`;
    else if (ESCAPES[sign] !== undefined) out += ESCAPES[sign];
    else if (code !== 32 && UNPRINTABLE.test(sign)) {
      if (code < 0x100) out += `\\x${hex(code, 2)}`;
      else out += code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
    } else out += sign;
  }
  return out + quote;
}

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0');
