/** The studies and models that come with the package, by name: files of the folder presets. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

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

/** Short names of models: what `model_name_or_path` is for each. */
export function presetModels(): Readonly<Record<string, string>> {
  return parse(readFileSync(join(FOLDER, 'models.yaml'), 'utf8')) as Record<string, string>;
}

/** The setting that a model's name, short or not, makes; several with commas between them are an axis. */
export function modelSetting(names: string): string {
  const models = presetModels();
  const paths = names.split(',').map((name) => (Object.hasOwn(models, name) ? models[name]! : name));
  return `model_name_or_path=${JSON.stringify(paths.length === 1 ? paths[0] : paths)}`;
}
