/** The functions that jinja2 gives every template. */
import { bind, whole } from './python/arguments.js';
import { print } from './python/print.js';
import {
  Callable,
  Dict,
  fault,
  iterate,
  Namespace,
  Range,
  refuse,
  Undefined,
  type CallArguments,
  type Value,
} from './python/values.js';

/** jinja2's sandbox allows no longer ranges. */
const MOST_RANGE = 100_000;

const FUNCTIONS: Readonly<Record<string, (args: CallArguments) => Value>> = {
  range: ({ positional, named }) => {
    if (named.size > 0) fault('range() takes no keyword arguments');
    const values = positional.map((value) => BigInt(whole('range', value, 0)));
    if (values.length < 1 || values.length > 3)
      fault(`range expected 1 to 3 arguments, got ${values.length}`);
    const [start, stop, step = 1n] =
      values.length === 1 ? [0n, values[0]!] : (values as [bigint, bigint, bigint?]);
    if (step === 0n) fault('range() arg 3 must not be zero');
    const range = new Range(start, stop, step);
    if (range.length > MOST_RANGE)
      fault(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MOST_RANGE}).`);
    return range;
  },
  dict: ({ positional, named }) => {
    const [of] = positional;
    if (positional.length > 1) fault(`dict expected at most 1 argument, got ${positional.length}`);
    const entries =
      of instanceof Dict
        ? [...of.entries()]
        : of === undefined
          ? []
          : of instanceof Undefined
            ? of.fail()
            : iterate(of).map(pairOf);
    return new Dict([...entries, ...named]);
  },
  namespace: ({ positional, named }) => {
    const namespace = new Namespace();
    const [of] = positional;
    if (positional.length > 1) fault(`dict expected at most 1 argument, got ${positional.length}`);
    if (of !== undefined && !(of instanceof Dict)) refuse('a namespace of pairs');
    for (const [key, value] of of instanceof Dict ? of.entries() : [])
      namespace.attributes.set(print(key), value);
    for (const [key, value] of named) namespace.attributes.set(key, value);
    return namespace;
  },
  cycler: ({ positional }) => {
    if (positional.length === 0) fault('at least one item has to be provided');
    let at = 0;
    return new Callable(
      'cycler',
      () => fault("'Cycler' object is not callable"),
      (name) => {
        if (name === 'current') return positional[at];
        if (name === 'next')
          return new Callable('next', () => {
            const now = positional[at]!;
            at = (at + 1) % positional.length;
            return now;
          });
        return name === 'reset' ? new Callable('reset', () => ((at = 0), null)) : undefined;
      },
      'Cycler',
    );
  },
  joiner: (args) => {
    const [by = ', '] = bind('joiner', args, ['sep']);
    let used = false;
    return new Callable(
      'joiner',
      () => {
        if (used) return by;
        used = true;
        return '';
      },
      undefined,
      'Joiner',
    );
  },
  lipsum: () => refuse("'lipsum'"),
};

export const GLOBALS: ReadonlyMap<string, Value> = new Map(
  Object.entries(FUNCTIONS).map(([name, call]) => [name, new Callable(name, call)]),
);

function pairOf(value: Value): readonly [Value, Value] {
  const items = iterate(value);
  return items.length === 2
    ? [items[0]!, items[1]!]
    : fault('dictionary update sequence element has no length of 2');
}
