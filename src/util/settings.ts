/**
 * Settings: each once, with what it may be, what it is for, its value where nobody says another, and whether it can show in a result. The
 * schema of a section of them, and what is left out of it filled in, are made of the same table.
 */

import { z } from 'zod';
import { filled } from './defaults.js';

/** Separates the allowed keys in the message of an `unrecognized_keys` issue; what shows it makes the user's line of them. */
export const KEY_SEPARATOR = '\n';

/** A default that follows from something else: what it is in words, and what it is there. */
export interface DerivedDefault<Value, From> {
  readonly text: string;
  readonly of: (from: From) => Value;
}

export interface Setting<Type extends z.ZodType = z.ZodType, Default = unknown> {
  readonly type: Type;
  readonly description: string;
  /** A value, a `DerivedDefault`, or undefined: there is none, or the code beside the table has it. */
  readonly default: Default;
  /** Whether another value can change a bit of a result, and the run's id with it. */
  readonly bits: boolean;
}

/** A section's settings by their keys; what must be given, or has no default, may be a plain type. */
export type Settings = Readonly<Record<string, z.ZodType | Setting>>;

/** Without a default the description says what happens. */
export function setting<Type extends z.ZodType, Default = undefined>(
  type: Type,
  description: string,
  { default: value, bits = true }: { readonly default?: Default; readonly bits?: boolean } = {},
): Setting<Type, Default> {
  return { type, description, default: value as Default, bits };
}

type ShapeOf<S extends Settings> = {
  [K in keyof S]: S[K] extends Setting<infer Type>
    ? z.ZodOptional<Type>
    : S[K] extends z.ZodType
      ? S[K]
      : never;
};

/** The types of settings, described; `from`: what derived defaults are of, where it is known. */
function shapeOf<S extends Settings>(settings: S, from?: unknown): ShapeOf<S> {
  const shape = Object.entries(settings).map(([key, one]) => {
    if (!isSetting(one)) return [key, one];
    const type = typeOf(one, from);
    SETTINGS.set(type, one);
    return [key, type];
  });
  return Object.fromEntries(shape) as ShapeOf<S>;
}

/** What the types of a section's fields were made of. */
const SETTINGS = new WeakMap<z.ZodType, Setting>();

/** All settings of a type and of the sections below it, by their keys; below a record the key is `*`, and lists are not looked into. */
export function* settingsOf(
  type: z.core.$ZodType,
  path: readonly string[] = [],
): Generator<[string[], Setting]> {
  if (type instanceof z.ZodOptional) yield* settingsOf(type.unwrap(), path);
  if (type instanceof z.ZodUnion) for (const option of type.options) yield* settingsOf(option, path);
  if (type instanceof z.ZodRecord) yield* settingsOf(type.valueType, [...path, '*']);
  if (!(type instanceof z.ZodObject)) return;
  for (const [key, field] of Object.entries<z.ZodType>(type.shape)) {
    const own = SETTINGS.get(field);
    if (own) yield [[...path, key], own];
    yield* settingsOf(field, [...path, key]);
  }
}

function typeOf({ type, description, default: value }: Setting, from: unknown): z.ZodType {
  if (value === undefined) return type.optional().describe(description);
  const [text, known] = isDerived(value)
    ? [value.text, from === undefined ? undefined : value.of(from)]
    : [textOf(value), value];
  return type.optional().meta({
    description: `${description} Default ${text}.`,
    ...(known !== undefined && { default: known }),
  });
}

/** An object that refuses unknown keys, and says in the issue's message which ones it knows. */
export function section<S extends Settings>(
  settings: S,
  from?: unknown,
): z.ZodObject<ShapeOf<S>, z.core.$strict> {
  return z.strictObject(shapeOf(settings, from), {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? Object.keys(settings).join(KEY_SEPARATOR) : undefined,
  });
}

/** What a section of settings holds. */
export type Values<S extends Settings> = Unchanging<z.output<z.ZodObject<ShapeOf<S>>>>;
type Unchanging<T> = {
  readonly [K in keyof T]: T[K] extends readonly (infer E)[] | undefined ? ReadonlyList<T[K], E> : T[K];
};
type ReadonlyList<T, E> = readonly E[] | Extract<T, undefined>;

/** What may be left out of it. */
export type Given<S extends Settings> = {
  readonly [K in keyof S as S[K] extends Setting ? K : never]?: S[K] extends Setting<infer Type>
    ? Unchanging<{ value: z.output<Type> }>['value'] | undefined
    : never;
};

/** The same with all defaults. */
export type Filled<S extends Settings> = {
  readonly [K in keyof S as S[K] extends Setting<z.ZodType, undefined> ? never : K]: S[K] extends Setting<
    infer Type
  >
    ? z.output<Type>
    : never;
};

/** Every setting that has a default: as it is given, else that. `from`: what derived defaults are of. */
export function withDefaults<S extends Settings>(settings: S, given: Given<S>, from?: unknown): Filled<S> {
  const defaults = Object.entries(settings).flatMap(([key, one]) =>
    isSetting(one) && one.default !== undefined
      ? [[key, isDerived(one.default) ? one.default.of(from) : one.default]]
      : [],
  );
  return filled<object>(Object.fromEntries(defaults) as object, given) as Filled<S>;
}

function isSetting(one: z.ZodType | Setting): one is Setting {
  return 'bits' in one;
}

function isDerived(value: unknown): value is DerivedDefault<unknown, unknown> {
  return typeof value === 'object' && value !== null && 'of' in value;
}

/** A default as a configuration writes it: 2e-4, [a, b]. */
export function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join(', ')}]`;
  if (typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-3) return value.toExponential();
  return String(value);
}

/** Kinds of values. */
export const text = z.string().min(1);
export const whole = (least: number, most = 2 ** 31 - 1) => z.int().min(least).max(most);
export const seed = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);
export const flag = z.boolean();
export const share = z.number().min(0).max(1);
/** A share that takes something. */
export const part = z.number().gt(0).max(1);
export const positive = z.number().gt(0);
export const atLeastZero = z.number().min(0);
/** A probability of dropping, or a decay rate: 1 would leave nothing. */
export const belowOne = z.number().min(0).lt(1);
