/** Python's `json.dumps` with `ensure_ascii=False`, as transformers gives it to templates under the name of `tojson`. */
import { bind } from './arguments.js';
import { compare } from './compare.js';
import { printFloat } from './print.js';
import {
  Dict,
  fault,
  isTrue,
  iterate,
  Markup,
  refuse,
  Tuple,
  typeName,
  type CallArguments,
  type Value,
} from './values.js';

interface Layout {
  readonly ascii: boolean;
  /** What a level is indented by; undefined for one line. */
  readonly indent: string | undefined;
  readonly comma: string;
  readonly colon: string;
  readonly sorted: boolean;
}

/** Throws JinjaError for what is no JSON. */
export function toJson(value: Value, args: CallArguments): string {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
  const [ascii = false, indent = null, separators = null, sorted = false] = bind('tojson', args, names);
  let by: string | undefined;
  if (typeof indent === 'bigint' || typeof indent === 'boolean') by = ' '.repeat(Math.max(0, Number(indent)));
  else if (typeof indent === 'string') by = indent;
  else if (indent !== null) refuse(`tojson's indent of a ${typeName(indent)}`);
  const [comma = by === undefined ? ', ' : ',', colon = ': '] =
    separators === null ? [] : iterate(separators);
  if (typeof comma !== 'string' || typeof colon !== 'string') return fault('separators are strings');
  return dump(value, { ascii: isTrue(ascii), indent: by, comma, colon, sorted: isTrue(sorted) }, '\n');
}

function dump(value: Value, layout: Layout, line: string): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return number(value);
  if (typeof value === 'string') return string(value, layout);
  if (value instanceof Markup) return string(value.text, layout);
  const inner = layout.indent === undefined ? '' : line + layout.indent;
  const around = (open: string, items: string[], close: string): string =>
    items.length === 0
      ? open + close
      : open + inner + items.join(layout.comma + inner) + (inner && line) + close;
  if (Array.isArray(value) || value instanceof Tuple)
    return around(
      '[',
      iterate(value).map((item) => dump(item, layout, inner)),
      ']',
    );
  if (value instanceof Dict) {
    const entries = [...value.entries()];
    if (layout.sorted) entries.sort(([a], [b]) => compare(a, b));
    const items = entries.map(
      ([key, item]) => `${string(keyOf(key), layout)}${layout.colon}${dump(item, layout, inner)}`,
    );
    return around('{', items, '}');
  }
  return fault(`Object of type ${typeName(value)} is not JSON serializable`);
}

function number(value: number): string {
  if (Number.isFinite(value)) return printFloat(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

function keyOf(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null || typeof key === 'boolean' || typeof key === 'bigint') return String(key);
  if (typeof key === 'number') return number(key);
  return fault(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const NAMED: Readonly<Record<string, string>> = {
  ...{ '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\f': '\\f', '\b': '\\b' },
};

function string(text: string, { ascii }: Layout): string {
  const escaped = ascii ? /["\\]|[^ -~]/g : /["\\\x00-\x1f]/g;
  const out = text.replace(
    escaped,
    (sign) => NAMED[sign] ?? `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${out}"`;
}
