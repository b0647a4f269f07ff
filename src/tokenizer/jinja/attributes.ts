/** What a dot and brackets find on a value, with the sandbox's limits. */
import { bind } from './python/arguments.js';
import { isEqual } from './python/compare.js';
import { print } from './python/print.js';
import { stringMethod } from './python/strings.js';
import {
  Callable,
  described,
  Dict,
  fault,
  Group,
  iterate,
  known,
  Markup,
  Namespace,
  place,
  Range,
  refuse,
  Tuple,
  Undefined,
  View,
  type CallArguments,
  type Value,
} from './python/values.js';

/** What changes lists and dicts: the sandbox hides it. */
const MUTATING: Readonly<Record<string, readonly string[]>> = {
  list: ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
};

/** What Python's numbers and lists have besides; named, since undefined would be wrong. */
const INT = [
  ...['bit_length', 'bit_count', 'conjugate', 'real', 'imag', 'numerator', 'denominator'],
  ...['to_bytes', 'from_bytes', 'as_integer_ratio'],
];
const UNKNOWN: Readonly<Record<string, readonly string[]>> = {
  list: ['copy'],
  dict: ['fromkeys'],
  int: INT,
  bool: INT,
  float: ['is_integer', 'hex', 'fromhex', 'conjugate', 'real', 'imag', 'as_integer_ratio'],
  range: ['start', 'stop', 'step', 'count', 'index'],
  generator: ['send', 'throw', 'close', 'gi_frame', 'gi_code', 'gi_running', 'gi_yieldfrom'],
  dict_keys: ['isdisjoint', 'mapping'],
  dict_items: ['isdisjoint', 'mapping'],
  dict_values: ['mapping'],
};

/** What every Python object has of these. */
const UNDERSCORED = new Set([
  ...[
    '__class__',
    '__doc__',
    '__init__',
    '__dir__',
    '__eq__',
    '__ne__',
    '__hash__',
    '__repr__',
    '__str__',
    '__new__',
  ],
  ...[
    '__getattribute__',
    '__setattr__',
    '__delattr__',
    '__reduce__',
    '__reduce_ex__',
    '__sizeof__',
    '__format__',
  ],
  ...[
    '__subclasshook__',
    '__init_subclass__',
    '__lt__',
    '__le__',
    '__gt__',
    '__ge__',
    '__len__',
    '__iter__',
    '__getitem__',
  ],
]);

/** `of.name`: Python's attribute, else the item of that name. */
export function attributeOf(of: Value, name: string): Value {
  if (of instanceof Undefined) return UNDERSCORED.has(name) ? of : of.fail();
  const found = own(of, name);
  if (found !== undefined) return found;
  if (of instanceof Dict) {
    const item = of.get(name);
    if (item !== undefined) return item;
  }
  return new Undefined(`'${described(of)}' has no attribute '${name}'`);
}

/** `of[key]`: the item, else for a text Python's attribute of that name. */
export function itemOf(of: Value, key: Value): Value {
  if (of instanceof Undefined) return of.fail();
  if (of instanceof Dict) {
    const hashable = !(Array.isArray(key) || key instanceof Dict);
    const item = hashable ? of.get(key) : undefined;
    if (item !== undefined) return item;
  } else if (typeof key === 'bigint' || typeof key === 'boolean') {
    if (typeof of === 'string' && !/[\ud800-\udfff]/.test(of)) {
      const at = place(key, of.length);
      if (at !== undefined) return of[at]!;
    } else if (typeof of === 'string' || Array.isArray(of) || of instanceof Tuple) {
      const items = iterate(of);
      const at = place(key, items.length);
      if (at !== undefined) return items[at]!;
    } else if (of instanceof Range) {
      const at = place(key, of.length);
      if (at !== undefined) return of.at(at);
    } else if (of instanceof Markup) refuse('an item of an escaped string');
  } else if (of instanceof Namespace && typeof key === 'string') {
    const value = of.attributes.get(key);
    if (value !== undefined) return value;
  }
  if (typeof key === 'string') {
    const found = own(of, key);
    if (found !== undefined) return found;
    return new Undefined(`'${described(of)}' has no attribute '${key}'`);
  }
  return new Undefined(`${described(of)} has no element ${print(key)}`);
}

/** Python's attribute of an object; undefined where it has none. The sandbox hides what changes lists and dicts. */
function own(of: Value, name: string): Value | undefined {
  const type = described(of).replace(/ object$/, '');
  const unsafe = name.startsWith('_') ? UNDERSCORED.has(name) : (MUTATING[type]?.includes(name) ?? false);
  if (unsafe) return new Undefined(`access to attribute '${name}' of '${type}' object is unsafe.`);
  if (UNKNOWN[type]?.includes(name)) return refuse(`${type}.${name}`);
  if (typeof of === 'string') return stringMethod(of, name);
  if (of instanceof Markup) return refuse(`a method of an escaped string`);
  if (of instanceof Namespace) return of.attributes.get(name);
  if (of instanceof Callable) return of.attributes?.(name);
  if (of instanceof Dict) return dictMethod(of, name);
  if (Array.isArray(of) || of instanceof Tuple) return sequenceMethod(of, name);
  return undefined;
}

const method = (name: string, call: (args: CallArguments) => Value): Callable =>
  new Callable(name, call, undefined, 'builtin_function_or_method');

function dictMethod(of: Dict, name: string): Value | undefined {
  if (name === 'items' || name === 'keys' || name === 'values')
    return method(name, (args) => {
      bind(name, args, []);
      return new View(of, name);
    });
  if (name === 'get')
    return method(name, (args) => {
      const [key, usual = null] = bind('get', args, ['key', 'default'], 1);
      return known(of.get(key!), () => usual);
    });
  return name === 'copy' ? method(name, () => new Dict(of.entries())) : undefined;
}

function sequenceMethod(of: Value[] | Tuple, name: string): Value | undefined {
  const items = iterate(of);
  if (name === 'count')
    return method(name, (args) => {
      const [value] = bind('count', args, ['value'], 1);
      return BigInt(items.filter((item) => isEqual(item, value!)).length);
    });
  if (name === 'index')
    return method(name, (args) => {
      const [value] = bind('index', args, ['value'], 1);
      const at = items.findIndex((item) => isEqual(item, value!));
      return at < 0 ? fault('the value is not in the list') : BigInt(at);
    });
  if (of instanceof Group) return name === 'grouper' ? items[0] : name === 'list' ? items[1] : undefined;
  return undefined;
}
