/** The studies and models that come with the package, by name: files of the folder presets. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { UserError } from '../../util/errors.js';

const FOLDER = fileURLToPath(new URL('../../../presets', import.meta.url));

/** Files of the folder that are no study of their own. */
const PARTS: readonly string[] = ['settings', 'models'];

export function presetNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .filter((name) => !PARTS.includes(name))
    .sort();
}

export function presetPath(name: string): string | undefined {
  return presetNames().includes(name) ? join(FOLDER, `${name}.yaml`) : undefined;
}

/** A configuration's path: `name` where there is such a file, else the preset of that name, else `name` again for its own message. */
export function configPath(name: string): string {
  return existsSync(name) ? name : (presetPath(name) ?? name);
}

export interface PresetModel {
  /** What `model_name_or_path` is for it. */
  readonly model: string;
  /** What else the name says, as for `--set`. */
  readonly settings: readonly string[];
}

let models: Readonly<Record<string, PresetModel>> | undefined;

/** Models by their short names. */
export function presetModels(): Readonly<Record<string, PresetModel>> {
  return (models ??= readModels());
}

function readModels(): Readonly<Record<string, PresetModel>> {
  const file = parse(readFileSync(join(FOLDER, 'models.yaml'), 'utf8')) as Record<
    string,
    string | ({ model: string } & Partial<PresetModel>)
  >;
  const entries = Object.entries(file).map(([name, entry]): [string, PresetModel] => [
    name,
    { settings: [], ...(typeof entry === 'string' ? { model: entry } : entry) },
  ]);
  return Object.fromEntries(entries);
}

/**
 * The settings that a model's name, short or not, makes; several with commas between them are an axis. Throws UserError for one with
 * settings of its own among several.
 */
export function modelSettings(names: string): string[] {
  const known = presetModels();
  const models = names
    .split(',')
    .map((name) => (Object.hasOwn(known, name) ? known[name]! : { model: name, settings: [] }));
  const apart = models.findIndex(({ settings }) => settings.length > 0);
  if (apart >= 0 && models.length > 1)
    throw new UserError(
      `--model: ${names.split(',')[apart]} has settings of its own (${models[apart]!.settings.join(', ')}); run it by itself, ` +
        'its runs stand beside the others in the report all the same',
    );
  const paths = models.map(({ model }) => model);
  const path = `model_name_or_path=${JSON.stringify(paths.length === 1 ? paths[0] : paths)}`;
  return [path, ...models[0]!.settings];
}
