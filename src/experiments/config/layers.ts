/**
 * The layers that a configuration is made of: the file, those it extends, and what the command line sets over them. Mappings are joined
 * key by key, the upper layer's value comes first; null takes away what is below it; everything else is replaced whole.
 */

import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { messageOf, UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import { parseConfigDocument, type ConfigDocument } from './document.js';
import { isMapping } from './grid.js';
import { presetPath } from './presets.js';
import type { Path } from './problems.js';

export interface Layers {
  readonly value: unknown;
  /** Where a path's setting, or the nearest above it, was written: 'file.yaml:12', or '--set'. */
  placeOf(path: Path): {
    readonly place: string;
    readonly layer: number;
    readonly line: number;
    /** The file's name, and whether it is the first one or what the command line sets over it. */
    readonly file: string;
    readonly own: boolean;
  };
  /** The folders of the files, the first one's first: paths in the configuration are relative to them. */
  readonly folders: readonly string[];
}

interface Layer {
  readonly name: string;
  readonly document: ConfigDocument;
  readonly folder?: string;
}

/** More files that extend one another than anybody writes: a circle. */
const MOST_LAYERS = 8;

/**
 * @param text the file's text, which messages call `name`
 * @param folder where `extends` is looked for; absent: the text may extend nothing
 * @param lined whether the text has lines that its reader knows
 * @param settings 'path=value' each, as the command line has them
 */
export function readLayers(
  text: string,
  name: string,
  {
    folder,
    lined = true,
    settings = [],
  }: { folder?: string; lined?: boolean; settings?: readonly string[] } = {},
): Layers {
  const layers: Layer[] = settings.map(settingLayer).reverse();
  const add = (layer: Layer): void => {
    layers.push(layer);
    const { value } = layer.document;
    const base = isMapping(value) ? value['extends'] : undefined;
    if (typeof base !== 'string' || layer.folder === undefined) return;
    const at = `${layer.name}:${layer.document.find(['extends']).line}: extends`;
    if (layers.length - settings.length > MOST_LAYERS)
      throw new UserError(`${at} goes through more than ${MOST_LAYERS} files: is it a circle?`);
    const beside = isAbsolute(base) ? base : join(layer.folder, base);
    const preset = presetPath(base);
    const path = !existsSync(beside) && preset !== undefined ? preset : beside;
    add({ name: path, document: parseConfigDocument(read(path, at), path), folder: dirname(path) });
  };
  add({ name, document: parseConfigDocument(text, name), ...(folder !== undefined && { folder }) });
  const value = layers.reduceRight<unknown>((below, { document }) => joined(below, document.value), {});
  return {
    value: folder === undefined ? value : withoutExtends(value),
    placeOf: (path) => {
      const found = layers.map(({ document }) => document.find(path));
      const depth = Math.max(...found.map((f) => f.depth));
      // What stands in no layer is missing in the file.
      const layer = depth === 0 ? settings.length : found.findIndex((f) => f.depth === depth);
      const { line } = found[layer]!;
      const { name } = layers[layer]!;
      const plain = layer < settings.length || (layer === settings.length && !lined);
      return {
        place: plain ? name : `${name}:${line}`,
        layer,
        line,
        file: name,
        own: layer <= settings.length,
      };
    },
    folders: layers.flatMap((l) => l.folder ?? []),
  };
}

function read(path: string, at: string): string {
  try {
    return readText(path);
  } catch (error) {
    throw new UserError(`${at}: ${messageOf(error)}`);
  }
}

/** 'lora.r=[4, 8]' as the document {lora: {r: [4, 8]}}. */
function settingLayer(setting: string): Layer {
  const equals = setting.indexOf('=');
  const keys = setting.slice(0, equals).split('.');
  if (equals < 1 || keys.some((key) => !/^[\w-]+$/.test(key)))
    throw new UserError(
      `--set ${setting} is not 'field=value', such as lora.r=8 or tasks.topics.train.count=100`,
    );
  const name = `--set ${keys.join('.')}`;
  const document = parseConfigDocument(
    keys.map((key) => `{${JSON.stringify(key)}: `).join('') +
      setting.slice(equals + 1) +
      '}'.repeat(keys.length),
    name,
  );
  return { name, document };
}

function joined(below: unknown, above: unknown): unknown {
  if (!isMapping(below) || !isMapping(above)) return above;
  const kept = Object.entries(below).filter(([key]) => above[key] !== null);
  const laid = Object.entries(above)
    .filter(([key, value]) => value !== null || !Object.hasOwn(below, key))
    .map(([key, value]) => [key, Object.hasOwn(below, key) ? joined(below[key], value) : value] as const);
  return Object.fromEntries([...kept, ...laid]);
}

/** What was extended is in the value now. */
function withoutExtends(value: unknown): unknown {
  if (!isMapping(value) || typeof value['extends'] !== 'string') return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== 'extends'));
}
