/** jinja2's filters and tests. What prints an address, a chance or HTML is refused by name. */
import { bind, text, whole } from './python/arguments.js';
import { SPACE } from './lexer.js';
import { toJson } from './python/json.js';
import { binary, percent, sized } from './python/operators.js';
import { capitalize, center, isLower, isUpper, replace, splitLines, strip } from './python/strings.js';
import {
  Callable,
  characters,
  compare,
  contains,
  Dict,
  fault,
  Group,
  isEqual,
  isNumeric,
  isTrue,
  iterate,
  known,
  Iterator,
  lengthOf,
  Markup,
  plain,
  print,
  Range,
  refuse,
  Tuple,
  typeName,
  Undefined,
  View,
  type CallArguments,
  type Value,
} from './python/values.js';

/** What filters need of the engine. */
export interface Engine {
  item(of: Value, key: Value): Value;
  attribute(of: Value, name: string): Value;
}

type Filter = (value: Value, args: CallArguments, engine: Engine) => Value;

const lower = (value: Value): Value => (typeof value === 'string' ? value.toLowerCase() : value);
const same = (value: Value): Value => value;

/** What a filter's `attribute` picks: a path of names and numbers. */
function getter(engine: Engine, attribute: Value | undefined, fallback?: Value): (item: Value) => Value {
  if (attribute === undefined || attribute === null) return same;
  const parts: Value[] =
    typeof attribute === 'string'
      ? attribute.split('.').map((part) => (/^\p{Nd}+$/u.test(part) ? BigInt(part) : part))
      : [attribute];
  return (item) =>
    parts.reduce((of, part) => {
      const found = engine.item(of, part);
      return found instanceof Undefined && fallback !== undefined && fallback !== null ? fallback : found;
    }, item);
}

/** Stable, as Python's. */
function sorted<T>(items: readonly T[], keyOf: (item: T) => Value, reverse = false): T[] {
  const keyed = items.map((item) => ({ item, key: keyOf(item) }));
  const order = reverse ? -1 : 1;
  return keyed.sort((a, b) => order * compare(a.key, b.key)).map(({ item }) => item);
}

const extreme =
  (sign: number): Filter =>
  (value, args, engine) => {
    const [sensitive = false, attribute] = bind('min', args, ['case_sensitive', 'attribute']);
    const items = iterate(value);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    const get = getter(engine, attribute);
    const keyOf = (item: Value): Value => (isTrue(sensitive) ? get(item) : lower(get(item)));
    return items.reduce((best, item) => (sign * compare(keyOf(item), keyOf(best)) < 0 ? item : best));
  };

/** map, by an attribute or another filter. */
const map: Filter = (value, { positional, named }, engine) => {
  if (!isTrue(value)) return new Iterator([]);
  if (positional.length === 0 && named.has('attribute')) {
    for (const name of named.keys())
      if (name !== 'attribute' && name !== 'default') fault(`Unexpected keyword argument '${name}'`);
    return new Iterator(iterate(value).map(getter(engine, named.get('attribute'), named.get('default'))));
  }
  const [name, ...rest] = positional;
  if (name === undefined) return fault('map requires a filter argument');
  const args = { positional: rest, named };
  return new Iterator(iterate(value).map((item) => applyFilter(print(name), item, args, engine)));
};

/** select and reject, also by an attribute. */
const choose =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, { positional, named }, engine) => {
    if (!isTrue(value)) return new Iterator([]);
    if (byAttribute && positional.length === 0) fault('Missing parameter for attribute name');
    const get = byAttribute ? getter(engine, positional[0]) : same;
    const [name, ...rest] = positional.slice(byAttribute ? 1 : 0);
    const args = { positional: rest, named };
    const test = (item: Value): boolean =>
      name === undefined ? isTrue(get(item)) : applyTest(print(name), get(item), args);
    return new Iterator(iterate(value).filter((item) => test(item) === wanted));
  };

const onText =
  (name: string, work: (of: string) => string): Filter =>
  (value, args) => {
    bind(name, args, []);
    return work(print(value));
  };

const first: Filter = (value) => {
  const found = value instanceof Iterator ? value.takeOne() : iterate(value)[0];
  return found === undefined ? new Undefined('No first item, sequence was empty.') : found;
};

const last: Filter = (value) => {
  if (value instanceof Iterator) return fault("'generator' object is not reversible");
  return known(iterate(value).at(-1), () => new Undefined('No last item, sequence was empty.'));
};

const usual: Filter = (value, args) => {
  const [fallback = '', boolean = false] = bind('default', args, ['default_value', 'boolean']);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? fallback : value;
};

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

const indent: Filter = (value, args) => {
  const [width = 4n, begin = false, blank = false] = bind('indent', args, ['width', 'first', 'blank']);
  const by = typeof width === 'string' ? width : ' '.repeat(sized(whole('width', width, 4)));
  if (value instanceof Undefined) value.fail();
  if (typeof value !== 'string')
    return value instanceof Markup
      ? refuse('indenting an escaped string')
      : fault(`unsupported operand type(s) for +=: '${typeName(value)}' and 'str'`);
  const [top = '', ...lines] = splitLines(`${value}\n`);
  const rest = lines.map((line) => `\n${line !== '' || isTrue(blank) ? by : ''}${line}`);
  return (isTrue(begin) ? by : '') + top + rest.join('');
};

const truncate: Filter = (value, args) => {
  const names = ['length', 'killwords', 'end', 'leeway'];
  const [most, kill = false, tail, slack] = bind('truncate', args, names);
  const [length, end, leeway] = [
    whole('length', most, 255),
    text('end', tail, '...'),
    slack === null ? 5 : whole('leeway', slack, 5),
  ];
  if (length < lengthOf(end)) fault(`expected length >= ${lengthOf(end)}, got ${length}`);
  if (leeway < 0) fault(`expected leeway >= 0, got ${leeway}`);
  if (value instanceof Undefined) return lengthOf(value) <= length + leeway ? value : '';
  if (typeof value !== 'string') return refuse(`truncating a ${typeName(value)}`);
  const signs = characters(value);
  if (signs.length <= length + leeway) return value;
  const cut = signs.slice(0, length - lengthOf(end)).join('');
  if (isTrue(kill)) return cut + end;
  return (cut.includes(' ') ? cut.slice(0, cut.lastIndexOf(' ')) : cut) + end;
};

function* chunks(items: readonly Value[], count: number, fill: Value | undefined): Generator<Value[]> {
  for (let at = 0; at < items.length; at += Math.max(1, count)) {
    const chunk = items.slice(at, at + Math.max(1, count));
    if (fill !== undefined && fill !== null) while (chunk.length < count) chunk.push(fill);
    yield chunk;
  }
}

const sliced: Filter = (value, args) => {
  const [slices, fill] = bind('slice', args, ['slices', 'fill_with'], 1);
  const items = iterate(value);
  const count = sized(whole('slices', slices, 0));
  if (count === 0) fault('integer division or modulo by zero');
  const [each, extra] = [Math.floor(items.length / count), items.length % count];
  let at = 0;
  return new Iterator(
    Array.from({ length: Math.max(0, count) }, (_, i) => {
      const part = items.slice(at, (at += each + (i < extra ? 1 : 0)));
      return fill !== undefined && fill !== null && i >= extra ? [...part, fill] : part;
    }),
  );
};

const groupby: Filter = (value, args, engine) => {
  const [attribute, fallback, sensitive = false] = bind(
    'groupby',
    args,
    ['attribute', 'default', 'case_sensitive'],
    1,
  );
  const get = getter(engine, attribute, fallback);
  const keyOf = (item: Value): Value => (isTrue(sensitive) ? get(item) : lower(get(item)));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(iterate(value), keyOf)) {
    const key = keyOf(item);
    const group = groups.at(-1);
    if (group && isEqual(group.key, key)) group.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups.map(({ items }) => new Group([get(items[0]!), items]));
};

const sort: Filter = (value, args, engine) => {
  const names = ['reverse', 'case_sensitive', 'attribute'];
  const [reverse = false, sensitive = false, attribute] = bind('sort', args, names);
  const paths = typeof attribute === 'string' ? attribute.split(',') : [attribute];
  const gets = paths.map((path) => getter(engine, path));
  const keyOf = (item: Value): Value => gets.map((get) => (isTrue(sensitive) ? get(item) : lower(get(item))));
  return sorted(iterate(value), keyOf, isTrue(reverse));
};

const dictsort: Filter = (value, args) => {
  const names = ['case_sensitive', 'by', 'reverse'];
  const [sensitive = false, by = 'key', reverse = false] = bind('dictsort', args, names);
  if (value instanceof Undefined) value.fail();
  if (!(value instanceof Dict)) return fault(`'${typeName(value)}' object has no attribute 'items'`);
  if (by !== 'key' && by !== 'value') return fault('You can only sort by either "key" or "value"');
  const at = by === 'key' ? 0 : 1;
  const keyOf = (entry: readonly [Value, Value]): Value => (isTrue(sensitive) ? entry[at] : lower(entry[at]));
  return sorted([...value.entries()], keyOf, isTrue(reverse)).map((entry) => new Tuple(entry));
};

const unique: Filter = (value, args, engine) => {
  const [sensitive = false, attribute] = bind('unique', args, ['case_sensitive', 'attribute']);
  const get = getter(engine, attribute);
  const seen = new Dict();
  return new Iterator(
    iterate(value).filter((item) => {
      const key = isTrue(sensitive) ? get(item) : lower(get(item));
      if (seen.has(key)) return false;
      seen.set(key, true);
      return true;
    }),
  );
};

const join: Filter = (value, args, engine) => {
  const [by = '', attribute] = bind('join', args, ['d', 'attribute']);
  const texts = iterate(value).map(getter(engine, attribute)).map(print);
  sized(texts.reduce((sum, { length }) => sum + length, 0) + texts.length * print(by).length);
  return texts.join(print(by));
};

const sum: Filter = (value, args, engine) => {
  const [attribute, start = 0n] = bind('sum', args, ['attribute', 'start']);
  if (typeof start === 'string') return fault("sum() can't sum strings [use ''.join(seq) instead]");
  return iterate(value)
    .map(getter(engine, attribute))
    .reduce((all, item) => binary('+', all, item), start);
};

const escape = (value: Value): Value => {
  if (value instanceof Markup) return value;
  const named: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    "'": '&#39;',
    '"': '&#34;',
  };
  return new Markup(print(value).replace(/[&<>'"]/g, (sign) => named[sign]!));
};

const urlencode: Filter = (value) => {
  const quote = (of: Value, query: boolean): string => {
    const out = encodeURIComponent(print(of)).replace(
      /[!'()*]/g,
      (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    return query ? out.replaceAll('%20', '+') : out.replaceAll('%2F', '/');
  };
  if (typeof value === 'string' || isNumeric(value) || value === null || value instanceof Markup)
    return quote(value, false);
  const pairs = value instanceof Dict ? new View(value, 'items').items : iterate(value);
  return pairs
    .map((pair) => {
      const [key, item, more] = iterate(pair);
      if (key === undefined || item === undefined || more !== undefined)
        return fault('cannot unpack a pair of a query');
      return `${quote(key, true)}=${quote(item, true)}`;
    })
    .join('&');
};

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

const reverse: Filter = (value) => {
  if (typeof value === 'string') return characters(value).reverse().join('');
  if (value instanceof Undefined || value instanceof Iterator)
    return new Iterator([...iterate(value)].reverse());
  if (value === null || isNumeric(value)) return fault('argument must be iterable');
  return new Iterator([...iterate(value)].reverse());
};

const list: Filter = (value, args) => {
  bind('list', args, []);
  return [...iterate(value)];
};

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    if (value instanceof Undefined) value.fail();
    if (!isNumeric(value)) return fault(`bad operand type for abs(): '${typeName(value)}'`);
    const number = plain(value);
    return typeof number === 'bigint' ? (number < 0n ? -number : number) : Math.abs(number);
  },
  attr: (value, args, engine) => {
    const [name] = bind('attr', args, ['name'], 1);
    const wanted = text('attr', name, '');
    // Not the item of that name, which the dot would also find.
    if (value instanceof Dict && !['items', 'keys', 'values', 'get', 'copy'].includes(wanted))
      return new Undefined(`'dict object' has no attribute '${wanted}'`);
    return engine.attribute(value, wanted);
  },
  batch: (value, args) => {
    const [count, fill] = bind('batch', args, ['linecount', 'fill_with'], 1);
    return new Iterator([...chunks(iterate(value), sized(whole('batch', count, 1)), fill)]);
  },
  capitalize: onText('capitalize', capitalize),
  center: (value, args) => center(print(value), whole('center', bind('center', args, ['width'])[0], 80)),
  count: (value) => BigInt(lengthOf(value)),
  d: usual,
  default: usual,
  dictsort,
  e: escape,
  escape,
  filesizeformat: filesize,
  first,
  float: toFloat,
  forceescape: (value) => escape(value instanceof Markup ? value.text : value),
  format: (value, { positional, named }) => {
    if (positional.length > 0 && named.size > 0)
      fault("can't handle positional and keyword arguments at the same time");
    return percent(print(value), named.size > 0 ? new Dict(named) : new Tuple(positional));
  },
  groupby,
  indent,
  int: toInt,
  items: (value) => {
    if (value instanceof Undefined) return new Iterator([]);
    return value instanceof Dict
      ? new Iterator(new View(value, 'items').items)
      : fault('Can only get item pairs from a mapping.');
  },
  join,
  last,
  length: (value) => BigInt(lengthOf(value)),
  list,
  lower: onText('lower', (of) => of.toLowerCase()),
  map,
  max: extreme(-1),
  min: extreme(1),
  reject: choose(false, false),
  rejectattr: choose(false, true),
  replace: (value, args) => {
    const [old, by, count] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(print(value), print(old!), print(by!), count === null ? -1 : whole('count', count, -1));
  },
  reverse,
  round,
  safe: (value) => (value instanceof Markup ? value : new Markup(print(value))),
  select: choose(true, false),
  selectattr: choose(true, true),
  slice: sliced,
  sort,
  string: (value) => (value instanceof Markup ? value : print(value)),
  sum,
  title: onText('title', (of) =>
    of
      .split(new RegExp(`([-${SPACE}({\\[<]+)`, 'u'))
      .map((part) => {
        const [initial = '', ...rest] = characters(part);
        return initial.toUpperCase() + rest.join('').toLowerCase();
      })
      .join(''),
  ),
  tojson: (value, args) => toJson(value, args),
  trim: (value, args) => strip(print(value), bind('trim', args, ['chars'])[0], true, true),
  truncate,
  unique,
  upper: onText('upper', (of) => of.toUpperCase()),
  urlencode,
  wordcount: (value) => BigInt(print(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
};

/** Filters of jinja2 that are told to be such, and not taken for misspelt. */
const OTHERS = ['pprint', 'random', 'striptags', 'urlize', 'wordwrap', 'xmlattr'];

export function applyFilter(name: string, value: Value, args: CallArguments, engine: Engine): Value {
  if (Object.hasOwn(FILTERS, name)) return FILTERS[name]!(value, args, engine);
  if (OTHERS.includes(name)) return refuse(`the filter '${name}'`);
  return fault(`No filter named '${name}'.`);
}

type Test = (value: Value, args: readonly Value[]) => boolean;

const integer = (value: Value): bigint => {
  if (value instanceof Undefined) value.fail();
  if (typeof value === 'bigint' || typeof value === 'boolean') return BigInt(value);
  return typeof value === 'number'
    ? refuse('this test of a float')
    : fault('not all arguments converted during string formatting');
};

const by =
  (test: (a: Value, b: Value) => boolean): Test =>
  (value, args) =>
    args.length === 1 ? test(value, args[0]!) : fault('the test takes one argument');

const ordered =
  (sign: string, test: (order: number) => boolean): Test =>
  (value, args) =>
    by((a, b) => test(compare(a, b, sign)))(value, args);

const isSequence = (value: Value): boolean =>
  typeof value === 'string' ||
  value instanceof Markup ||
  Array.isArray(value) ||
  value instanceof Tuple ||
  value instanceof Dict ||
  value instanceof Range ||
  value instanceof Undefined;

/** Whether there is something of a name; lists and dicts cannot be looked for. */
function isNamed(value: Value, test: (name: string) => boolean): boolean {
  new Dict().has(value);
  return typeof value === 'string' && test(value);
}

const equal = by(isEqual);
const unequal = by((a, b) => !isEqual(a, b));
const greater = ordered('>', (order) => order > 0);
const atLeast = ordered('>=', (order) => order >= 0);
const less = ordered('<', (order) => order < 0);
const atMost = ordered('<=', (order) => order <= 0);

const TESTS: Readonly<Record<string, Test>> = {
  odd: (value) => integer(value) % 2n !== 0n,
  even: (value) => integer(value) % 2n === 0n,
  divisibleby: by((value, number) => isEqual(binary('%', value, number), 0n)),
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  filter: (value) => isNamed(value, (name) => Object.hasOwn(FILTERS, name) || OTHERS.includes(name)),
  test: (value) => isNamed(value, (name) => Object.hasOwn(TESTS, name)),
  none: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  false: (value) => value === false,
  true: (value) => value === true,
  integer: (value) => typeof value === 'bigint',
  float: (value) => typeof value === 'number',
  lower: (value) => isLower(print(value)),
  upper: (value) => isUpper(print(value)),
  string: (value) => typeof value === 'string' || value instanceof Markup,
  mapping: (value) => value instanceof Dict,
  number: isNumeric,
  sequence: isSequence,
  iterable: (value) => isSequence(value) || value instanceof View || value instanceof Iterator,
  callable: (value) => value instanceof Callable || value instanceof Undefined,
  sameas: by((a, b) => {
    if (a === null || typeof a === 'boolean' || b === null || typeof b === 'boolean') return a === b;
    return typeof a === 'object' && typeof b === 'object'
      ? a === b
      : refuse("the test 'sameas' of numbers and texts");
  }),
  escaped: (value) => value instanceof Markup,
  in: by((item, container) => contains(container, item)),
  ...{ '==': equal, eq: equal, equalto: equal, '!=': unequal, ne: unequal },
  ...{ '>': greater, gt: greater, greaterthan: greater, '>=': atLeast, ge: atLeast },
  ...{ '<': less, lt: less, lessthan: less, '<=': atMost, le: atMost },
};

export function applyTest(name: string, value: Value, args: CallArguments): boolean {
  if (!Object.hasOwn(TESTS, name)) return fault(`No test named '${name}'.`);
  return TESTS[name]!(value, [...args.positional, ...args.named.values()]);
}
