/** str() and repr(). */
import { Dict, Markup, Range, refuse, Tuple, typeName, Undefined, View, type Value } from './values.js';

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
