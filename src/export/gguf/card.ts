/** What a GGUF file says of the model that it holds: `general.*`. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { readCard, type GgufValue } from '../../files/index.js';
import { FILE_TYPES, type FileType } from './file-types.js';

const QUANTIZATION_VERSION = 2;

/** @param base the model's name on the hub, or its folder @param parameters how many it has */
export function cardKeys(
  architecture: string,
  type: FileType,
  base: { readonly name: string; readonly folder: string },
  parameters: number,
  kind: 'model' | 'adapter' = 'model',
): [string, GgufValue][] {
  const text = (value: string): GgufValue => ({ type: 'string', value });
  const uint = (value: number): GgufValue => ({ type: 'uint32', value });
  const list = (value: readonly string[]): GgufValue => ({ type: 'array', of: 'string', value });
  const { license, tags, language } = readCard(base.folder);
  const strings = (of: unknown): string[] => [of].flat().filter((one) => typeof one === 'string');
  return [
    ['general.architecture', text(architecture)],
    ['general.type', text(kind)],
    ['general.name', text(basename(existsSync(base.name) ? resolve(base.name) : base.name))],
    ['general.size_label', text(sizeLabel(parameters))],
    ...(typeof license === 'string' ? [['general.license', text(license)] as [string, GgufValue]] : []),
    ...(strings(tags).length > 0 ? [['general.tags', list(strings(tags))] as [string, GgufValue]] : []),
    ...(strings(language).length > 0
      ? [['general.languages', list(strings(language))] as [string, GgufValue]]
      : []),
    ['general.file_type', uint(FILE_TYPES[type].id)],
    ['general.quantization_version', uint(QUANTIZATION_VERSION)],
  ];
}

/** '7B', '260K' */
function sizeLabel(parameters: number): string {
  for (const [unit, size] of [
    ['B', 1e9],
    ['M', 1e6],
  ] as const)
    if (parameters >= size)
      return `${Number((parameters / size).toFixed(parameters < 10 * size ? 1 : 0))}${unit}`;
  return `${Math.round(parameters / 1e3)}K`;
}
