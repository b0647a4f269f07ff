/** Arguments of a call as parameters have them. */
import { fault, isNumeric, plain, Undefined, type CallArguments, type Value } from './values.js';

/** The arguments in the order of `names`; undefined where one was not given. Throws JinjaError as Python's TypeError. */
export function bind(
  what: string,
  { positional, named }: CallArguments,
  names: readonly string[],
  required = 0,
): (Value | undefined)[] {
  if (positional.length > names.length)
    fault(`${what}() takes at most ${names.length} arguments (${positional.length} given)`);
  const values: (Value | undefined)[] = names.map((_, i) => positional[i]);
  for (const [name, value] of named) {
    const at = names.indexOf(name);
    if (at < 0) fault(`${what}() got an unexpected keyword argument '${name}'`);
    if (values[at] !== undefined) fault(`${what}() got multiple values for argument '${name}'`);
    values[at] = value;
  }
  for (let i = 0; i < required; i++)
    if (values[i] === undefined) fault(`${what}() missing a required argument: '${names[i]!}'`);
  return values;
}

/** A whole number that fits a position. */
export function whole(what: string, value: Value | undefined, usual: number): number {
  if (value === undefined) return usual;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  if (value instanceof Undefined) return value.fail();
  if (isNumeric(value))
    return fault(`${what}: 'float' object cannot be interpreted as an integer, ${plain(value)}`);
  return fault(`${what}: an integer is wanted`);
}

export function text(what: string, value: Value | undefined, usual: string): string {
  if (value === undefined) return usual;
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return value.fail();
  return fault(`${what}: a str is wanted`);
}

/** What works on a value by a call's arguments. */
export type Filter = (value: Value, args: CallArguments) => Value;
