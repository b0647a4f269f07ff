/** Python's arithmetic and indexing. */
import { percent } from './format.js';
import { bounded, MOST_BITS, sized } from './limits.js';
import {
  characters,
  described,
  Dict,
  fault,
  isNumeric,
  Markup,
  plain,
  Range,
  refuse,
  Tuple,
  typeName,
  Undefined,
  View,
  type Value,
} from './values.js';

const isWhole = (value: Value): value is bigint | boolean =>
  typeof value === 'bigint' || typeof value === 'boolean';

export function binary(sign: string, a: Value, b: Value): Value {
  if (sign === '%' && typeof a === 'string') return percent(a, b);
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  if (isWhole(a) && isWhole(b)) return integers(sign, BigInt(a), BigInt(b));
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
    const [many, times] = isWhole(b) ? [a, Number(b)] : isWhole(a) ? [b, Number(a)] : [undefined, 0];
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

/** `of[start:stop:step]`. */
export function slice(of: Value, parts: readonly (Value | undefined)[]): Value {
  const bound = (part: Value | undefined): number | undefined => {
    if (part === undefined || part === null) return undefined;
    return isWhole(part)
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
