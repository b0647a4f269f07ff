/** `text % values` and `str.format`. */
import { sized } from './limits.js';
import { print, printFloat, repr } from './print.js';
import {
  characters,
  described,
  Dict,
  fault,
  isNumeric,
  known,
  place,
  plain,
  Range,
  refuse,
  Tuple,
  typeName,
  Undefined,
  type CallArguments,
  type Value,
} from './values.js';

/** What stands behind a colon in Python's format strings, or between % and a letter. */
interface Format {
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
function formatted(value: Value, format: Format): string {
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

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;

/** `str.format`: fields by position, name and their items or attributes. */
export function strFormat(of: string, { positional, named }: CallArguments): string {
  let automatic = 0;
  const value = (field: string): Value => {
    const [, name = '', path = ''] = /^([^.[]*)(.*)$/s.exec(field)!;
    const numbered = /^\d*$/.test(name);
    const found = numbered ? positional[name === '' ? automatic++ : Number(name)] : named.get(name);
    if (found === undefined)
      return fault(numbered ? 'Replacement index out of range for positional args tuple' : `'${name}'`);
    return [...path.matchAll(/\[([^\]]*)\]|\.([^.[]+)/g)].reduce<Value>((from, [, item, attribute]) => {
      if (attribute !== undefined) return refuse('an attribute in a format');
      if (from instanceof Dict) return known(from.get(item!), () => fault(`'${item!}'`));
      const items = Array.isArray(from)
        ? from
        : from instanceof Tuple
          ? from.items
          : refuse(`an item of a ${described(from)} in a format`);
      const at = /^\d+$/.test(item!) ? place(BigInt(item!), items.length) : undefined;
      return at === undefined ? fault('list index out of range') : items[at]!;
    }, found);
  };
  return of.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (all, inner: string | undefined) => {
    if (all === '{{' || all === '}}') return all[0]!;
    if (inner === undefined)
      return all === '{'
        ? refuse('a format within a format')
        : fault("Single '}' encountered in format string");
    const [, field = '', conversion, spec = ''] =
      /^([^!:]*)(?:!([a-z]))?(?::(.*))?$/s.exec(inner) ?? refuse(`the format ${repr(inner)}`);
    const found = value(field);
    const shown =
      conversion === 'r'
        ? repr(found)
        : conversion === 's'
          ? print(found)
          : conversion
            ? refuse(`!${conversion}`)
            : found;
    return spec === '' ? print(shown) : formatted(shown, parsedFormat(spec));
  });
}

function parsedFormat(spec: string): Format {
  const found = SPEC.exec(spec);
  if (!found) return fault(`Invalid format specifier '${spec}'`);
  const [, fill, align, sign, alternate, zero, width, comma, precision, type] = found;
  return {
    fill: fill ?? (zero ? '0' : ' '),
    align: align ?? (zero ? '=' : ''),
    sign: sign ?? '-',
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    comma: comma ?? '',
    precision: precision === undefined ? undefined : Number(precision),
    type: type ?? '',
  };
}
