/** Which fields of a configuration can be axes of a grid, and the JSON Schema that allows a list in each of them. */

import { z } from 'zod';
import { configSchema } from './schema.js';
import { range, type Range } from './settings/search.js';

type Json = Record<string, unknown>;

/** The JSON Schema of a configuration file, for editors. */
export function jsonSchema(): Json {
  const schema = z.toJSONSchema(configSchema, { io: 'input' }) as Json;
  return { ...withAxes(schema), title: 'Westwind configuration' };
}

/** Fields that hold lists as they are: in these, a list with a list in it is an axis of a grid; in all others any list is. */
export const LIST_FIELDS: ReadonlySet<string> = fieldsThat(isList);

/** Fields of whole numbers: of a range such are drawn for them. */
export const WHOLE_FIELDS: ReadonlySet<string> = fieldsThat(({ type }) => type === 'integer');
/** Which fields may hold a range: those of numbers, but for seeds, of which none is better than another. */
export const RANGE_FIELDS: ReadonlySet<string> = fieldsThat(
  (property, name) => isNumber(property) && name !== 'seed',
);

function fieldsThat(are: (property: Json, name: string) => boolean): ReadonlySet<string> {
  const properties = propertiesOf(z.toJSONSchema(configSchema, { io: 'input' }));
  return new Set(properties.flatMap(([name, property]) => (are(property, name) ? [name] : [])));
}

/** A field that holds a list, or a range: where it stands, and what it holds. */
export interface Axis {
  readonly path: readonly string[];
  /** None of a range. */
  readonly values: readonly unknown[];
  /** What a search draws from in place of values. */
  readonly range?: Range;
}

/** Every property of a JSON Schema, however deep. */
function propertiesOf(node: unknown): [string, Json][] {
  if (typeof node !== 'object' || node === null) return [];
  const properties = Object.entries((node as { properties?: Record<string, Json> }).properties ?? {});
  return [...properties, ...Object.values(node).flatMap(propertiesOf)];
}

function isNumber({ type }: Json): boolean {
  return type === 'number' || type === 'integer';
}

function isList(schema: Json): boolean {
  return schema['type'] === 'array' || ((schema['anyOf'] as Json[] | undefined) ?? []).some(isList);
}

/** Allows a list of values wherever the schema has a single one; the grid's own settings and lists of tasks' parts stay as they are. */
function withAxes(node: Json, field = ''): Json {
  const properties = node['properties'] as Record<string, Json> | undefined;
  const parts = (node['anyOf'] ?? node['oneOf']) as Json[] | undefined;
  const records = node['additionalProperties'];
  if (properties !== undefined) {
    const entries = Object.entries(properties).map(([name, property]) => [
      name,
      UNLISTED.has(name) ? property : withAxes(property, name),
    ]);
    return { ...node, properties: Object.fromEntries(entries) as unknown };
  }
  if (typeof records === 'object' && records !== null)
    return { ...node, additionalProperties: withAxes(records as Json) };
  if (parts?.every((part) => part['properties'] !== undefined) === true)
    return { ...node, [node['anyOf'] ? 'anyOf' : 'oneOf']: parts.map((part) => withAxes(part)) };
  const { description, default: value, ...one } = node;
  // Sections that may be false, or not there at all, hold such fields, too.
  const within = parts?.some((part) => part['properties'] !== undefined)
    ? parts.map((part) => (part['properties'] === undefined ? part : withAxes(part)))
    : [one];
  return {
    anyOf: [
      ...within,
      { type: 'array', items: one, minItems: 1 },
      ...(RANGE_FIELDS.has(field) ? [RANGE] : []),
    ],
    ...(description !== undefined && { description }),
    ...(value !== undefined && { default: value }),
  };
}

const RANGE: Json = {
  ...z.toJSONSchema(range, { io: 'input' }),
  $schema: undefined,
  description: 'What a search draws from.',
};

/** What is never an axis: what says where the settings come from, which task it is, and how axes go together. */
export const UNLISTED: ReadonlySet<string> = new Set(['extends', 'grid', 'search', 'task', 'output_dir']);
