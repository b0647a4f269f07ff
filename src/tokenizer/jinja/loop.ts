/** What a template knows of a loop under the name of `loop`. */
import { isEqual } from './python/compare.js';
import { Callable, fault, known, Tuple, Undefined, type CallArguments, type Value } from './python/values.js';

interface Position {
  readonly items: readonly Value[];
  /** 0 for a loop that no loop of its own kind runs in. */
  readonly depth: number;
  at: number;
  /** What `changed` was last asked of. */
  seen?: Value;
}

const missing = (what: string) => (): Value => new Undefined(`there is no ${what} item`);

const FIELDS: Readonly<Record<string, (position: Position) => Value>> = {
  index: ({ at }) => BigInt(at + 1),
  index0: ({ at }) => BigInt(at),
  revindex: ({ at, items }) => BigInt(items.length - at),
  revindex0: ({ at, items }) => BigInt(items.length - at - 1),
  first: ({ at }) => at === 0,
  last: ({ at, items }) => at === items.length - 1,
  length: ({ items }) => BigInt(items.length),
  depth: ({ depth }) => BigInt(depth + 1),
  depth0: ({ depth }) => BigInt(depth),
  previtem: ({ at, items }) => known(items[at - 1], missing('previous')),
  nextitem: ({ at, items }) => known(items[at + 1], missing('next')),
  cycle: (position) =>
    new Callable('cycle', ({ positional }) =>
      positional.length === 0
        ? fault('no items for cycling given')
        : positional[position.at % positional.length]!,
    ),
  changed: (position) =>
    new Callable('changed', ({ positional }) => {
      const now = new Tuple(positional);
      const same = position.seen !== undefined && isEqual(position.seen, now);
      position.seen = now;
      return !same;
    }),
};

/** `position` is the loop's own, and moves with it; `again` is what calling the variable does. */
export function loopVariable(position: Position, again: (args: CallArguments) => Value): Callable {
  const field = (name: string): Value | undefined =>
    Object.hasOwn(FIELDS, name) ? FIELDS[name]!(position) : undefined;
  return new Callable('loop', again, field, 'LoopContext');
}
