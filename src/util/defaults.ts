/** Options of which any may be left out. */

/** Any of an object's fields; what is undefined is as left out. */
export type Some<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** The fields of `defaults`, each as `given` says it, and else as it is there. */
export function filled<T extends object>(defaults: T, given: Some<T>): T {
  const said = given as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, said[name] === undefined ? value : said[name]]),
  ) as T;
}
