/** The studies and models that come with the package, by name: files of the folder presets. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import { parseConfigDocument } from './document.js';

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
  const path = join(FOLDER, 'models.yaml');
  return parsePresetModels(readText(path), path);
}

const modelsSchema = z.record(
  z.string(),
  z.union([z.string(), z.object({ model: z.string(), settings: z.array(z.string()).default([]) })]),
);

/** Models by their short names, from YAML of which messages speak as `path`. Throws UserError for another shape. */
export function parsePresetModels(text: string, path: string): Readonly<Record<string, PresetModel>> {
  const { value } = parseConfigDocument(text, path);
  const file = modelsSchema.safeParse(value);
  if (!file.success)
    throw new UserError(`${path}: ${file.error.issues[0]!.path.join('.')}: ${file.error.issues[0]!.message}`);
  return Object.fromEntries(
    Object.entries(file.data).map(([name, entry]) => [
      name,
      typeof entry === 'string' ? { model: entry, settings: [] } : entry,
    ]),
  );
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
