/**
 * What of JSON Schema grammars hold answers to (https://json-schema.org/draft/2020-12). What they would pass over is refused by name: an
 * answer that is said to be of a schema is.
 */

import { own } from '../../util/own.js';

/** Keywords that grammars hold to. */
const HELD = new Set([
  ...['type', 'enum', 'const', 'anyOf', '$ref', '$defs', 'definitions'],
  ...['properties', 'required', 'additionalProperties', 'items', 'prefixItems', 'minItems', 'maxItems'],
  ...['minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
]);

/** Keywords that say nothing of what is valid. */
const SAID = new Set([
  ...['title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly'],
  ...['$schema', '$id', '$comment', 'format'],
]);

/** Keywords whose values are schemas by name. */
const BY_NAME = ['properties', '$defs', 'definitions'];

const MOST_BYTES = 1 << 16;
const MOST_DEPTH = 64;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

/** Why answers cannot be held to a schema; undefined: they can. */
export function schemaFault(schema: object): string | undefined {
  if (JSON.stringify(schema).length > MOST_BYTES) return `it has more than ${MOST_BYTES} characters`;
  return faultIn(schema, { root: schema, path: 'schema', depth: 0 });
}

interface Place {
  readonly root: object;
  readonly path: string;
  readonly depth: number;
}

function faultIn(schema: unknown, { root, path, depth }: Place): string | undefined {
  if (typeof schema === 'boolean') return undefined;
  if (!isObject(schema)) return `${path} is no schema`;
  if (depth > MOST_DEPTH) return `${path} is nested too deeply`;
  for (const [key, value] of Object.entries(schema)) {
    if (SAID.has(key)) continue;
    if (!HELD.has(key)) return `${path}.${key} is not supported`;
    if (key === 'type' && ![value].flat().every((type) => TYPES.includes(type as string)))
      return `${path}.type is none of ${TYPES.join(', ')}`;
    // The library writes its own grammar wrongly then.
    if (key === 'properties' && isObject(value) && Object.keys(value).some((name) => /["\\]/.test(name)))
      return `${path}.properties has a name with a quotation mark or a backslash, which is not supported`;
    if (key === '$ref' && !leadsIn(root, value)) return `${path}.$ref leads nowhere within the schema`;
    for (const [inner, at] of inside(key, value, `${path}.${key}`)) {
      const fault = faultIn(inner, { root, path: at, depth: depth + 1 });
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

/** Whether `#/a/b` stands in the schema. */
function leadsIn(root: object, ref: unknown): boolean {
  if (typeof ref !== 'string' || !/^#(\/|$)/.test(ref)) return false;
  const keys = ref
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  let at: unknown = root;
  for (const key of keys) at = isObject(at) ? own(at, key) : undefined;
  return isObject(at);
}

/** The schemas within a keyword's value, and where they stand. */
function inside(key: string, value: unknown, path: string): [schema: unknown, path: string][] {
  if (BY_NAME.includes(key))
    return isObject(value)
      ? Object.entries(value).map(([name, one]) => [one, `${path}.${name}`])
      : [[value, path]];
  if (key === 'anyOf' || key === 'prefixItems')
    return Array.isArray(value) ? value.map((one: unknown, i) => [one, `${path}.${i}`]) : [[value, path]];
  return key === 'items' || key === 'additionalProperties' ? [[value, path]] : [];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
