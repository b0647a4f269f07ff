/** jinja2's filters of lists, dicts and what else can be gone through. */
import { itemOf } from './attributes.js';
import { bind, whole, type Filter } from './python/arguments.js';
import { compare, isEqual } from './python/compare.js';
import { sized } from './python/limits.js';
import { binary } from './python/operators.js';
import { print } from './python/print.js';
import {
  characters,
  Dict,
  fault,
  Group,
  isNumeric,
  isTrue,
  iterate,
  Iterator,
  known,
  lengthOf,
  Tuple,
  typeName,
  Undefined,
  View,
  type Value,
} from './python/values.js';

const lower = (value: Value): Value => (typeof value === 'string' ? value.toLowerCase() : value);
export const same = (value: Value): Value => value;

/** What a filter's `attribute` picks: a path of names and numbers. */
export function getter(attribute: Value | undefined, fallback?: Value): (item: Value) => Value {
  if (attribute === undefined || attribute === null) return same;
  const parts: Value[] =
    typeof attribute === 'string'
      ? attribute.split('.').map((part) => (/^\p{Nd}+$/u.test(part) ? BigInt(part) : part))
      : [attribute];
  return (item) =>
    parts.reduce((of, part) => {
      const found = itemOf(of, part);
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
  (value, args) => {
    const [sensitive = false, attribute] = bind('min', args, ['case_sensitive', 'attribute']);
    const items = iterate(value);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    const get = getter(attribute);
    const keyOf = (item: Value): Value => (isTrue(sensitive) ? get(item) : lower(get(item)));
    return items.reduce((best, item) => (sign * compare(keyOf(item), keyOf(best)) < 0 ? item : best));
  };

const first: Filter = (value) => {
  const found = value instanceof Iterator ? value.takeOne() : iterate(value)[0];
  return found === undefined ? new Undefined('No first item, sequence was empty.') : found;
};

const last: Filter = (value) => {
  if (value instanceof Iterator) return fault("'generator' object is not reversible");
  return known(iterate(value).at(-1), () => new Undefined('No last item, sequence was empty.'));
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

const groupby: Filter = (value, args) => {
  const [attribute, fallback, sensitive = false] = bind(
    'groupby',
    args,
    ['attribute', 'default', 'case_sensitive'],
    1,
  );
  const get = getter(attribute, fallback);
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

const sort: Filter = (value, args) => {
  const names = ['reverse', 'case_sensitive', 'attribute'];
  const [reverse = false, sensitive = false, attribute] = bind('sort', args, names);
  const paths = typeof attribute === 'string' ? attribute.split(',') : [attribute];
  const gets = paths.map((path) => getter(path));
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

const unique: Filter = (value, args) => {
  const [sensitive = false, attribute] = bind('unique', args, ['case_sensitive', 'attribute']);
  const get = getter(attribute);
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

const join: Filter = (value, args) => {
  const [by = '', attribute] = bind('join', args, ['d', 'attribute']);
  const texts = iterate(value).map(getter(attribute)).map(print);
  sized(texts.reduce((sum, { length }) => sum + length, 0) + texts.length * print(by).length);
  return texts.join(print(by));
};

const sum: Filter = (value, args) => {
  const [attribute, start = 0n] = bind('sum', args, ['attribute', 'start']);
  if (typeof start === 'string') return fault("sum() can't sum strings [use ''.join(seq) instead]");
  return iterate(value)
    .map(getter(attribute))
    .reduce((all, item) => binary('+', all, item), start);
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

export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  batch: (value, args) => {
    const [count, fill] = bind('batch', args, ['linecount', 'fill_with'], 1);
    return new Iterator([...chunks(iterate(value), sized(whole('batch', count, 1)), fill)]);
  },
  count: (value) => BigInt(lengthOf(value)),
  dictsort,
  first,
  groupby,
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
  max: extreme(-1),
  min: extreme(1),
  reverse,
  slice: sliced,
  sort,
  sum,
  unique,
};
