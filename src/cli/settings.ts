/** The argument and options that say which configuration: a file or a preset, and what comes before its settings. */

import type { Command } from 'commander';
import {
  configPath,
  loadStudy,
  modelSettings,
  presetNames,
  type Study,
} from '../experiments/config/index.js';

export interface SettingFlags {
  readonly set: readonly string[];
  readonly model?: string;
  readonly device?: string;
}

export function configArgument(command: Command): Command {
  return command
    .argument('<config>', `a YAML or JSON configuration, or a preset: ${presetNames().join(', ')}`)
    .option(
      '--set <field=value>',
      "a setting that comes before the file's, such as lora.r=[4,8]",
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option(
      '--model <name>',
      'in place of model_name_or_path: a folder, a name on the hub, or a short name of presets; several, with commas, are an axis',
    );
}

/** Reads and checks what the arguments name. Throws UserError with a line for each fault. */
export function studyOf(config: string, { set, model, device }: SettingFlags): Study {
  const settings = [
    ...(model === undefined ? [] : modelSettings(model)),
    ...set,
    ...(device === undefined ? [] : [`device=${device}`]),
  ];
  return loadStudy(configPath(config), { settings });
}

/** The arguments as they are written. */
export function argumentsText(config: string, { set, model, device }: SettingFlags): string {
  return [
    config,
    ...(model === undefined ? [] : [`--model ${model}`]),
    ...set.map((s) => `--set '${s}'`),
    ...(device === undefined ? [] : [`--device ${device}`]),
  ].join(' ');
}
