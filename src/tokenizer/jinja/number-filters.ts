/** jinja2's filters of numbers, and of texts as numbers. */
import { bind, whole, type Filter } from './python/arguments.js';
import { strip } from './python/strings.js';
import { fault, isNumeric, isTrue, plain, refuse, typeName, Undefined } from './python/values.js';

/** A number of a text, as Python's int() and float() read it; undefined for none. */
function integerOf(of: string, base: number): bigint | undefined {
  const digits = strip(of, undefined, true, true);
  const found = /^([-+]?)(0[xob])?([0-9a-z]+(?:_[0-9a-z]+)*)$/i.exec(digits);
  if (!found) return undefined;
  const [, sign, prefix, body] = found;
  const named = { '0x': 16, '0o': 8, '0b': 2 }[(prefix ?? '').toLowerCase()];
  if (named !== undefined && named !== base && base !== 0) return undefined;
  const by = BigInt(named ?? (base === 0 ? 10 : base));
  let out = 0n;
  for (const digit of body!.replaceAll('_', '')) {
    const n = Number.parseInt(digit, 36);
    if (n >= Number(by)) return undefined;
    out = out * by + BigInt(n);
  }
  return sign === '-' ? -out : out;
}

function floatOf(of: string): number | undefined {
  const digits = strip(of, undefined, true, true);
  const special = /^([-+]?)(inf|infinity|nan)$/i.exec(digits);
  if (special)
    return special[2]!.toLowerCase() === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity;
  if (!/^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+(?:_\d+)*)?$/i.test(digits))
    return undefined;
  return Number(digits.replaceAll('_', ''));
}

const toInt: Filter = (value, args) => {
  const [fallback = 0n, base] = bind('int', args, ['default', 'base']);
  if (value instanceof Undefined) value.fail();
  if (isNumeric(value)) {
    const number = plain(value);
    if (typeof number === 'bigint') return number;
    if (!Number.isFinite(number))
      return Number.isNaN(number) ? fallback : fault('cannot convert float infinity to integer');
    return BigInt(Math.trunc(number));
  }
  if (typeof value !== 'string') return fallback;
  const parsed = integerOf(value, whole('base', base, 10));
  if (parsed !== undefined) return parsed;
  const float = floatOf(value);
  return float === undefined || !Number.isFinite(float) ? fallback : BigInt(Math.trunc(float));
};

const toFloat: Filter = (value, args) => {
  const [fallback = 0] = bind('float', args, ['default']);
  if (value instanceof Undefined) value.fail();
  if (isNumeric(value)) return Number(plain(value));
  return (typeof value === 'string' ? floatOf(value) : undefined) ?? fallback;
};

const round: Filter = (value, args) => {
  const [digits, method = 'common'] = bind('round', args, ['precision', 'method']);
  const precision = whole('precision', digits, 0);
  if (value instanceof Undefined) value.fail();
  if (!isNumeric(value)) return fault(`type ${typeName(value)} doesn't define __round__ method`);
  const number = plain(value);
  if (method === 'ceil' || method === 'floor') {
    const power = 10 ** precision;
    // Python's floor and ceil make an int, which has no -0.
    return (Math[method](Number(number) * power) + 0) / power;
  }
  if (method !== 'common') return fault('method must be common, ceil or floor');
  if (typeof number === 'bigint') return precision >= 0 ? number : refuse('rounding an int to tens');
  return roundHalfEven(number, precision);
};

/** Correctly rounded by the number's exact value, ties to even, as Python's round(). */
function roundHalfEven(number: number, precision: number): number {
  if (!Number.isFinite(number) || precision > 22) return number;
  if (precision < 0) return refuse('rounding a float to tens');
  const [, sign, digits, decimals] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(exact(number))!;
  const fraction = (decimals ?? '').padEnd(precision + 1, '0');
  const kept = BigInt(digits! + fraction.slice(0, precision));
  const rest = fraction.slice(precision);
  const half = `5${'0'.repeat(rest.length - 1)}`;
  const up = rest > half || (rest === half && kept % 2n === 1n);
  const out = String(kept + (up ? 1n : 0n)).padStart(precision + 1, '0');
  return Number(`${sign!}${out.slice(0, out.length - precision)}.${out.slice(out.length - precision)}`);
}

/** All decimal digits of a number. */
function exact(number: number): string {
  let [size, power] = [Math.abs(number), 0];
  while (!Number.isInteger(size)) [size, power] = [size * 2, power + 1];
  const sign = number < 0 || Object.is(number, -0) ? '-' : '';
  const digits = (BigInt(size) * 5n ** BigInt(power)).toString().padStart(power + 1, '0');
  return `${sign}${digits.slice(0, digits.length - power)}${power > 0 ? `.${digits.slice(-power)}` : ''}`;
}

const filesize: Filter = (value, args) => {
  const [two = false] = bind('filesizeformat', args, ['binary']);
  const bytes = isNumeric(value)
    ? Number(plain(value))
    : typeof value === 'string'
      ? floatOf(value)
      : undefined;
  if (bytes === undefined) return fault(`could not convert a ${typeName(value)} to float`);
  const [base, i] = isTrue(two) ? [1024, 'i'] : [1000, ''];
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  const prefixes = Array.from('KMGTPEZY').map(
    (letter) => `${i === '' && letter === 'K' ? 'k' : letter}${i}B`,
  );
  const at = prefixes.findIndex((_, n) => bytes < base ** (n + 2));
  const power = at < 0 ? prefixes.length - 1 : at;
  return `${((base * bytes) / base ** (power + 2)).toFixed(1)} ${prefixes[power]!}`;
};

export const NUMBER_FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    if (value instanceof Undefined) value.fail();
    if (!isNumeric(value)) return fault(`bad operand type for abs(): '${typeName(value)}'`);
    const number = plain(value);
    return typeof number === 'bigint' ? (number < 0n ? -number : number) : Math.abs(number);
  },
  filesizeformat: filesize,
  float: toFloat,
  int: toInt,
  round,
};
