/** Python's arithmetic, indexing and the formatting of numbers. */
import {
  Callable,
  characters,
  Dict,
  fault,
  isNumeric,
  known,
  Markup,
  plain,
  print,
  printFloat,
  Range,
  refuse,
  repr,
  Tuple,
  typeName,
  Undefined,
  View,
  type Value,
} from './values.js';

/** What a template may make at most: characters or items, and bits of a number. */
export const MOST = 1 << 24;
const MOST_BITS = 1 << 16;

export function sized(length: number): number {
  if (length > MOST) throw new RangeError('it makes a value of more than 16 million characters or items');
  return length;
}

function bounded(value: bigint): bigint {
  if (value > 1n << BigInt(MOST_BITS) || value < -(1n << BigInt(MOST_BITS)))
    throw new RangeError('it makes a number of more than 65536 bits');
  return value;
}

const whole = (value: Value): value is bigint | boolean =>
  typeof value === 'bigint' || typeof value === 'boolean';

export function binary(sign: string, a: Value, b: Value): Value {
  if (sign === '%' && typeof a === 'string') return percent(a, b);
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  if (whole(a) && whole(b)) return integers(sign, BigInt(a), BigInt(b));
  if (isNumeric(a) && isNumeric(b)) return floats(sign, Number(plain(a)), Number(plain(b)));
  if (a instanceof Markup || b instanceof Markup) return refuse(`'${sign}' of an escaped string`);
  if (sign === '+') {
    if (typeof a === 'string' && typeof b === 'string') {
      sized(a.length + b.length);
      return a + b;
    }
    if (Array.isArray(a) && Array.isArray(b)) {
      sized(a.length + b.length);
      return [...a, ...b];
    }
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
    if (typeof a === 'string') return fault(`can only concatenate str (not "${typeName(b)}") to str`);
    if (Array.isArray(a)) return fault(`can only concatenate list (not "${typeName(b)}") to list`);
  }
  if (sign === '*') {
    const [many, times] = whole(b) ? [a, Number(b)] : whole(a) ? [b, Number(a)] : [undefined, 0];
    const count = Math.max(0, times);
    if (typeof many === 'string') {
      sized(many.length * count);
      return many.repeat(count);
    }
    const items = Array.isArray(many) ? many : many instanceof Tuple ? many.items : undefined;
    if (items) {
      sized(items.length * count);
      const all = Array.from({ length: count }, (): readonly Value[] => items).flat(1);
      return Array.isArray(many) ? all : new Tuple(all);
    }
  }
  if ((sign === '-' && a instanceof View) || (a instanceof Dict && b instanceof Dict))
    refuse(`'${sign}' of dicts`);
  const shown = sign === '**' ? '** or pow()' : sign;
  return fault(`unsupported operand type(s) for ${shown}: '${typeName(a)}' and '${typeName(b)}'`);
}

function integers(sign: string, a: bigint, b: bigint): Value {
  if (sign === '+') return bounded(a + b);
  if (sign === '-') return bounded(a - b);
  if (sign === '*') return bounded(a * b);
  if (sign === '**') {
    if (b < 0n) {
      if (a === 0n) return fault('0.0 cannot be raised to a negative power');
      const below = integers(sign, a, -b) as bigint;
      return BigInt.asIntN(53, below) === below ? 1 / Number(below) : refuse('a power of that size');
    }
    const bits = (a < 0n ? -a : a).toString(2).length;
    if (a !== 0n && a !== 1n && a !== -1n && BigInt(bits) * b > BigInt(MOST_BITS))
      bounded(1n << BigInt(MOST_BITS + 1));
    return a ** b;
  }
  if (b === 0n)
    return fault(
      sign === '/'
        ? 'division by zero'
        : sign === '%'
          ? 'integer modulo by zero'
          : 'integer division or modulo by zero',
    );
  if (sign === '/') return Number(a) / Number(b);
  const rest = a % b;
  const turned = rest !== 0n && rest < 0n !== b < 0n;
  if (sign === '%') return turned ? rest + b : rest;
  return turned ? a / b - 1n : a / b;
}

function floats(sign: string, a: number, b: number): Value {
  if (sign === '+') return a + b;
  if (sign === '-') return a - b;
  if (sign === '*') return a * b;
  // JavaScript's powers are not rounded as C's.
  if (sign === '**') return refuse("'**' of a float");
  if (b === 0)
    return fault(
      sign === '%'
        ? 'float modulo'
        : sign === '//'
          ? 'float floor division by zero'
          : 'float division by zero',
    );
  if (sign === '/') return a / b;
  const rest = a % b;
  const modulo = rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest === 0 ? (b < 0 ? -0 : 0) : rest;
  if (sign === '%') return modulo;
  const quotient = Math.round((a - modulo) / b);
  return quotient === 0 ? (a / b < 0 || Object.is(a / b, -0) ? -0 : 0) : quotient;
}

export function unary(sign: string, value: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (!isNumeric(value)) return fault(`bad operand type for unary ${sign}: '${typeName(value)}'`);
  return sign === '-' ? -plain(value) : plain(value);
}

/** An index from the front or, below zero, from the back; undefined outside. */
export function place(index: bigint | boolean, length: number): number | undefined {
  const at = Number(index) < 0 ? Number(index) + length : Number(index);
  return at >= 0 && at < length ? at : undefined;
}

/** `of[start:stop:step]`. */
export function slice(of: Value, parts: readonly (Value | undefined)[]): Value {
  const bound = (part: Value | undefined): number | undefined => {
    if (part === undefined || part === null) return undefined;
    return whole(part)
      ? Number(part)
      : fault('slice indices must be integers or None or have an __index__ method');
  };
  const [start, stop, step = 1] = parts.map(bound) as [
    number | undefined,
    number | undefined,
    number | undefined,
  ];
  const pick = <T>(items: readonly T[]): T[] => {
    if (step === 0) fault('slice step cannot be zero');
    const n = items.length;
    const [low, high] = step > 0 ? [0, n] : [-1, n - 1];
    const clip = (at: number | undefined, usual: number): number =>
      at === undefined ? usual : Math.min(Math.max(at < 0 ? at + n : at, low), high);
    const end = clip(stop, step > 0 ? high : low);
    const out: T[] = [];
    for (let i = clip(start, step > 0 ? low : high); step > 0 ? i < end : i > end; i += step)
      out.push(items[i]!);
    return out;
  };
  if (typeof of === 'string') return pick(characters(of)).join('');
  if (Array.isArray(of)) return pick(of);
  if (of instanceof Tuple) return new Tuple(pick(of.items));
  if (of instanceof Range) return refuse('a part of a range');
  if (of instanceof Markup) return refuse('a part of an escaped string');
  if (of instanceof Undefined) return of.fail();
  if (of instanceof Dict) return fault("unhashable type: 'slice'");
  return new Undefined(`${described(of)} has no element slice`);
}

/** As jinja2 names an object in its errors. */
export function described(value: Value): string {
  if (value === null) return 'None';
  if (value instanceof Callable) return `${value.type} object`;
  return `${typeName(value)} object`;
}

/** What stands behind a colon in Python's format strings, or between % and a letter. */
export interface Format {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly comma: string;
  readonly precision: number | undefined;
  readonly type: string;
}

function padded(text: string, { fill, align, width }: Format, numeric: boolean): string {
  const room = sized(width) - characters(text).length;
  if (room <= 0) return text;
  const pad = fill.repeat(room);
  const side = align || (numeric ? '>' : '<');
  if (side === '<') return text + pad;
  if (side === '>') return pad + text;
  if (side === '^') return fill.repeat(Math.floor(room / 2)) + text + fill.repeat(Math.ceil(room / 2));
  const [, sign, digits] = /^([-+ ]?(?:0[xob])?)(.*)$/i.exec(text)!;
  return sign! + pad + digits!;
}

/** A value by a format, of str.format or %. */
export function formatted(value: Value, format: Format): string {
  const { type, precision } = format;
  if (typeof value === 'string' && (type === '' || type === 's')) {
    const text = precision === undefined ? value : characters(value).slice(0, precision).join('');
    if (format.comma !== '') fault(`Cannot specify '${format.comma}' with 's'.`);
    if (format.align === '=') fault("'=' alignment not allowed in string format specifier");
    return padded(text, format, false);
  }
  if (!isNumeric(value)) return fault(`unsupported format string passed to ${typeName(value)}.__format__`);
  if (typeof value === 'boolean' && type === '') return refuse('a bool by a format');
  const number = plain(value);
  const below = typeof number === 'bigint' ? number < 0n : number < 0 || Object.is(number, -0);
  const sign = below ? '-' : format.sign === '+' || format.sign === ' ' ? format.sign : '';
  const size = below ? -number : number;
  return padded(sign + grouped(digitsOf(size, format), format.comma), format, true);
}

function grouped(text: string, comma: string): string {
  if (comma === '') return text;
  const [, digits, rest] = /^(\d*)(.*)$/s.exec(text)!;
  return digits!.replace(/\B(?=(\d{3})+$)/g, comma) + rest!;
}

function digitsOf(
  size: bigint | number,
  { type, precision = 6, alternate, precision: given }: Format,
): string {
  const bases: Readonly<Record<string, readonly [number, string]>> = {
    x: [16, '0x'],
    X: [16, '0X'],
    o: [8, '0o'],
    b: [2, '0b'],
  };
  if (typeof size === 'bigint' && (type === 'd' || type === '')) return String(size);
  if (typeof size === 'bigint' && bases[type]) {
    const [base, prefix] = bases[type];
    const digits = size.toString(base);
    return (alternate ? prefix : '') + (type === 'X' ? digits.toUpperCase() : digits);
  }
  if (typeof size === 'bigint' && type === 'c') return String.fromCodePoint(Number(size));
  const number = Number(size);
  if (!Number.isFinite(number)) return printFloat(number);
  if (precision > 100) refuse('a precision of more than 100 digits');
  if (type === '' && given === undefined) return printFloat(number);
  if (type === 'f' || type === 'F')
    return number < 1e21 ? number.toFixed(precision) : refuse('a float of that size by f');
  if (type === '%') return `${(number * 100).toFixed(precision)}%`;
  if (type === 'e' || type === 'E') {
    const text = number.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2');
    return type === 'E' ? text.toUpperCase() : text;
  }
  return refuse(`the format '${type}' of a ${typeof size === 'bigint' ? 'int' : 'float'}`);
}

const PERCENT = /%(?:\(([^)]*)\))?([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?(.)/gs;

/** `text % values`. */
export function percent(text: string, values: Value): string {
  const list = values instanceof Tuple ? values.items : [values];
  let used = 0;
  let named = false as boolean;
  const next = (): Value =>
    used < list.length ? list[used++]! : fault('not enough arguments for format string');
  if (/%$/.test(text.replaceAll('%%', ''))) fault('incomplete format');
  const out = text.replace(
    PERCENT,
    (
      _,
      key: string | undefined,
      flags: string,
      wide: string | undefined,
      exact: string | undefined,
      type: string,
    ) => {
      if (type === '%') return '%';
      if (wide === '*' || exact === '*') refuse("'*' in a format");
      let value: Value;
      if (key === undefined) value = next();
      else if (values instanceof Dict) {
        named = true;
        value = known(values.get(key), () => fault(`'${key}'`));
      } else return fault('format requires a mapping');
      const width = wide === undefined ? 0 : Number(wide);
      const precision = exact === undefined ? undefined : Number(exact);
      const left = flags.includes('-');
      const zero = flags.includes('0') && !left;
      const align = left ? '<' : '>';
      const sign = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-';
      const common = { sign, alternate: flags.includes('#'), width, comma: '' };
      if ('sra'.includes(type)) {
        if (type === 'a') refuse('%a');
        const shown = type === 'r' ? repr(value) : print(value);
        return formatted(shown, { ...common, fill: ' ', align, precision, type: 's' });
      }
      const numeric = { ...common, fill: zero ? '0' : ' ', align: zero ? '=' : align };
      if ('diu'.includes(type)) {
        if (!isNumeric(value))
          return fault(`%${type} format: a real number is required, not ${typeName(value)}`);
        if (precision !== undefined) refuse('a precision of a whole number');
        const number = plain(value);
        return formatted(typeof number === 'bigint' ? number : BigInt(Math.trunc(number)), {
          ...numeric,
          precision: undefined,
          type: 'd',
        });
      }
      if ('xXo'.includes(type) && typeof value !== 'bigint')
        return fault(`%${type} format: an integer is required, not ${typeName(value)}`);
      if (!'xXofFeE'.includes(type))
        return 'gGc'.includes(type) ? refuse(`%${type}`) : fault(`unsupported format character '${type}'`);
      if (!isNumeric(value)) return fault(`must be real number, not ${typeName(value)}`);
      const given = 'xXo'.includes(type) ? plain(value) : Number(plain(value));
      return formatted(given, { ...numeric, precision, type });
    },
  );
  // What has items may stand for one argument, or for none.
  const many =
    values instanceof Dict || values instanceof Range || values instanceof Undefined || Array.isArray(values);
  if (!named && used < list.length && !many) fault('not all arguments converted during string formatting');
  return out;
}
