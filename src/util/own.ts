/** Tables that are asked by names from outside: files, the command line, programs. */

/** What a table has under `name` itself: `constructor` and its like, which every object inherits, are in none. */
export function own<T>(table: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}
