/** jinja2's tests of a value. */
import { compare, contains, isEqual } from './python/compare.js';
import { binary } from './python/operators.js';
import { print } from './python/print.js';
import { isLower, isUpper } from './python/strings.js';
import {
  Callable,
  Dict,
  fault,
  isNumeric,
  Iterator,
  Markup,
  Range,
  refuse,
  Tuple,
  Undefined,
  View,
  type Value,
} from './python/values.js';

export type Test = (value: Value, args: readonly Value[]) => boolean;

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

const equal = by(isEqual);
const unequal = by((a, b) => !isEqual(a, b));
const greater = ordered('>', (order) => order > 0);
const atLeast = ordered('>=', (order) => order >= 0);
const less = ordered('<', (order) => order < 0);
const atMost = ordered('<=', (order) => order <= 0);

export const VALUE_TESTS: Readonly<Record<string, Test>> = {
  odd: (value) => integer(value) % 2n !== 0n,
  even: (value) => integer(value) % 2n === 0n,
  divisibleby: by((value, number) => isEqual(binary('%', value, number), 0n)),
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
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
