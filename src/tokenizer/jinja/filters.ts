/** jinja2's filters and tests by their names, and those that take others by name. What prints an address, a chance or HTML is refused by name. */
import { attributeOf } from './attributes.js';
import { NUMBER_FILTERS } from './number-filters.js';
import { bind, text, type Filter } from './python/arguments.js';
import { print } from './python/print.js';
import {
  Dict,
  fault,
  isTrue,
  iterate,
  Iterator,
  refuse,
  Undefined,
  type CallArguments,
  type Value,
} from './python/values.js';
import { getter, same, SEQUENCE_FILTERS } from './sequence-filters.js';
import { VALUE_TESTS, type Test } from './tests.js';
import { TEXT_FILTERS } from './text-filters.js';

/** map, by an attribute or another filter. */
const map: Filter = (value, { positional, named }) => {
  if (!isTrue(value)) return new Iterator([]);
  if (positional.length === 0 && named.has('attribute')) {
    for (const name of named.keys())
      if (name !== 'attribute' && name !== 'default') fault(`Unexpected keyword argument '${name}'`);
    return new Iterator(iterate(value).map(getter(named.get('attribute'), named.get('default'))));
  }
  const [name, ...rest] = positional;
  if (name === undefined) return fault('map requires a filter argument');
  const args = { positional: rest, named };
  return new Iterator(iterate(value).map((item) => applyFilter(print(name), item, args)));
};

/** select and reject, also by an attribute. */
const choose =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, { positional, named }) => {
    if (!isTrue(value)) return new Iterator([]);
    if (byAttribute && positional.length === 0) fault('Missing parameter for attribute name');
    const get = byAttribute ? getter(positional[0]) : same;
    const [name, ...rest] = positional.slice(byAttribute ? 1 : 0);
    const args = { positional: rest, named };
    const test = (item: Value): boolean =>
      name === undefined ? isTrue(get(item)) : applyTest(print(name), get(item), args);
    return new Iterator(iterate(value).filter((item) => test(item) === wanted));
  };

const usual: Filter = (value, args) => {
  const [fallback = '', boolean = false] = bind('default', args, ['default_value', 'boolean']);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? fallback : value;
};

const FILTERS: Readonly<Record<string, Filter>> = {
  ...NUMBER_FILTERS,
  ...TEXT_FILTERS,
  ...SEQUENCE_FILTERS,
  attr: (value, args) => {
    const [name] = bind('attr', args, ['name'], 1);
    const wanted = text('attr', name, '');
    // Not the item of that name, which the dot would also find.
    if (value instanceof Dict && !['items', 'keys', 'values', 'get', 'copy'].includes(wanted))
      return new Undefined(`'dict object' has no attribute '${wanted}'`);
    return attributeOf(value, wanted);
  },
  d: usual,
  default: usual,
  map,
  reject: choose(false, false),
  rejectattr: choose(false, true),
  select: choose(true, false),
  selectattr: choose(true, true),
};

/** Filters of jinja2 that are told to be such, and not taken for misspelt. */
const OTHERS = ['pprint', 'random', 'striptags', 'urlize', 'wordwrap', 'xmlattr'];

const isFilter = (name: string): boolean => Object.hasOwn(FILTERS, name) || OTHERS.includes(name);

export function applyFilter(name: string, value: Value, args: CallArguments): Value {
  if (Object.hasOwn(FILTERS, name)) return FILTERS[name]!(value, args);
  if (OTHERS.includes(name)) return refuse(`the filter '${name}'`);
  return fault(`No filter named '${name}'.`);
}

/** Whether there is something of a name; lists and dicts cannot be looked for. */
function isNamed(value: Value, test: (name: string) => boolean): boolean {
  new Dict().has(value);
  return typeof value === 'string' && test(value);
}

const TESTS: Readonly<Record<string, Test>> = {
  ...VALUE_TESTS,
  filter: (value) => isNamed(value, isFilter),
  test: (value) => isNamed(value, (name) => Object.hasOwn(TESTS, name)),
};

export function applyTest(name: string, value: Value, args: CallArguments): boolean {
  if (!Object.hasOwn(TESTS, name)) return fault(`No test named '${name}'.`);
  return TESTS[name]!(value, [...args.positional, ...args.named.values()]);
}
