/** Equality, order and membership as Python has them. */
import {
  ASTRAL,
  Callable,
  characters,
  Dict,
  fault,
  isNumeric,
  iterate,
  Markup,
  Namespace,
  plain,
  Range,
  refuse,
  Tuple,
  typeName,
  Undefined,
  View,
  type Value,
} from './values.js';

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
