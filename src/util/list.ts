/** Lists whose items are made when they are asked for: of data that has no room in memory. */

/** What a list that is there and one that is made have in common. */
export interface List<T> extends Iterable<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

export class Lazy<T> implements List<T> {
  /** @param make called each time that an item is asked for */
  constructor(
    readonly length: number,
    private readonly make: (index: number) => T,
  ) {}

  at(index: number): T | undefined {
    return index >= 0 && index < this.length ? this.make(index) : undefined;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = 0; index < this.length; index++) yield this.make(index);
  }
}

/** Whether a list is not held in memory. */
export function isLazy<T>(list: List<T>): list is Lazy<T> {
  return list instanceof Lazy;
}

/** A list's items in another form: made now, or of a `Lazy` when they are asked for. */
export function mapped<T, U>(list: List<T>, of: (item: T, index: number) => U): List<U> {
  return isLazy(list) ? new Lazy(list.length, (index) => of(list.at(index)!, index)) : Array.from(list, of);
}

/** The same of several, one item at a time. */
export function* mappedEach<T, U>(lists: readonly Iterable<T>[], of: (item: T) => U): Iterable<U> {
  for (const list of lists) for (const item of list) yield of(item);
}

/** Several as one. */
export function joinedLists<T>(lists: readonly List<T>[]): List<T> {
  if (lists.length === 1) return lists[0]!;
  if (lists.every((list) => !isLazy(list))) {
    const all: T[] = [];
    for (const list of lists) for (const item of list) all.push(item);
    return all;
  }
  const ends: number[] = [];
  for (const { length } of lists) ends.push((ends.at(-1) ?? 0) + length);
  return new Lazy(ends.at(-1) ?? 0, (index) => {
    const which = ends.findIndex((end) => index < end);
    return lists[which]!.at(index - (ends[which - 1] ?? 0))!;
  });
}
