/**
 * From the file's sections to the settings of each task: the task's own section before the top level's, that before the defaults. The
 * defaults are the original study's settings, with its missing loss mask put right.
 */

import type { DeviceName } from '../../backends/contract.js';
import { figureNames } from '../../eval/index.js';
import type { WeightOptions } from '../../models/weights.js';
import { metricOfTask } from '../../tasks/index.js';
import { withDefaults } from '../../util/settings.js';
import type { TrackerName } from '../trackers/index.js';
import type { TrackerSettings } from '../trackers/tracker.js';
import type { Problem } from './problems.js';
import { TOP, type ConfigFile } from './schema.js';
import { steeringFaults } from './settings/steering.js';
import { resolveSearch, searchFaults, type ResolvedSearch } from './settings/search.js';
import { resolveTask, taskProblems, type ResolvedTask } from './settings/task.js';
import { QUANTIZATION } from './settings/tuning.js';

/** A configuration with every default filled in: what a run does, and what its id is a hash of. */
export interface ResolvedConfig {
  readonly model_name_or_path: string;
  readonly revision: string;
  readonly device: 'auto' | DeviceName;
  readonly output_dir: string;
  readonly seed: number;
  /** How the base model's weights are kept where they are not trained. */
  readonly weights: Required<Pick<WeightOptions, 'dtype' | 'quantization'>>;
  /** Who is told of steps and figures. */
  readonly report_to: readonly TrackerName[];
  readonly mlflow: TrackerSettings['mlflow'];
  /** The search that it is a trial of. */
  readonly search?: ResolvedSearch;
  readonly tasks: readonly ResolvedTask[];
}

const DTYPES = { auto: 'auto', float32: 'f32', bfloat16: 'bf16', float16: 'f16' } as const;

/** For messages about a task that nobody wrote into the configuration's own file. */
export function inheritedNote(task: string, file: string): string {
  return `task '${task}' is inherited from ${file}; tasks.${task}: null leaves it out`;
}

/** The settings of a file whose shape is right, and what in it does not fit together. */
export function resolveConfig(file: ConfigFile): { config: ResolvedConfig; problems: Problem[] } {
  const { torch_dtype, seed, ...top } = withDefaults(TOP, file);
  const quantization = file.quantization ? withDefaults(QUANTIZATION, file.quantization) : undefined;
  const quantized = quantization?.load_in_4bit === true;
  const tasks = Object.entries(file.tasks).map(([name, task]) => resolveTask(name, task, file, seed));
  const config: ResolvedConfig = {
    model_name_or_path: file.model_name_or_path,
    revision: top.revision,
    device: top.device,
    output_dir: top.output_dir,
    seed,
    weights: {
      dtype: DTYPES[torch_dtype],
      quantization: quantized ? { doubleQuant: quantization.bnb_4bit_use_double_quant } : undefined,
    },
    report_to: top.report_to,
    mlflow: {
      ...(file.mlflow?.tracking_uri !== undefined && { tracking_uri: file.mlflow.tracking_uri }),
      ...(file.mlflow?.experiment_name !== undefined && { experiment_name: file.mlflow.experiment_name }),
    },
    ...(file.search && { search: resolveSearch(file.search) }),
    tasks,
  };
  const problems = [
    ...Object.entries(file.tasks).flatMap(([name, task]) => taskProblems(['tasks', name], task)),
    ...adapterProblems(file, tasks),
    ...trainingProblems(file, tasks),
    ...searchProblems(file, tasks),
    ...weightProblems(file, config),
  ];
  return { config, problems };
}

function adapterProblems(file: ConfigFile, tasks: readonly ResolvedTask[]): Problem[] {
  return tasks.flatMap(({ name, lora, tune, adapter }): Problem[] => {
    if (adapter === undefined) return [];
    const own = file.tasks[name]!.adapter !== undefined;
    const path = own ? ['tasks', name, 'adapter'] : ['adapter'];
    if (lora === false)
      return [{ path, message: `is trained on, but lora is false in task '${name}': leave one of them out` }];
    return !tune && (own || tasks.every((task) => !task.tune))
      ? [{ path, message: `is where training starts, and nothing is trained in task '${name}'` }]
      : [];
  });
}

/** What of a task's training, or of the top level's, does not fit together. */
function trainingProblems(file: ConfigFile, tasks: readonly ResolvedTask[]): Problem[] {
  return tasks.flatMap(({ name, settings, tune, training, validation }): Problem[] => {
    if (!tune) return [];
    const own = file.tasks[name]!.training || {};
    const given = { ...(file.training || {}), ...own };
    const beside = {
      ...training,
      validated: validation !== undefined,
      figures: figureNames(metricOfTask(settings)),
    };
    return Array.from(steeringFaults(given, beside), ([key, message]) => ({
      path: own[key] === undefined ? ['training', key] : ['tasks', name, 'training', key],
      message,
    }));
  });
}

/** What of a search does not fit what its trials train. */
function searchProblems({ search }: ConfigFile, tasks: readonly ResolvedTask[]): Problem[] {
  if (!search) return [];
  return tasks.flatMap(({ settings, tune, training }): Problem[] => {
    const faults = tune ? searchFaults(search, training, figureNames(metricOfTask(settings))) : [];
    return Array.from(faults, ([key, message]) => ({ path: ['search', key], message }));
  });
}

/** What every weight's training asks of the weights. */
function weightProblems(file: ConfigFile, { weights, tasks }: ResolvedConfig): Problem[] {
  return tasks.flatMap(({ name, lora, tune }): Problem[] => {
    if (lora !== false || !tune) return [];
    const path = file.tasks[name]!.lora === false ? ['tasks', name, 'lora'] : ['lora'];
    if (weights.quantization !== undefined) {
      const message = `is needed with 4-bit weights, which cannot be trained themselves: task '${name}' has none`;
      return [{ path, message: `${message}; give it an adapter or leave out quantization` }];
    }
    if (weights.dtype === 'auto' || weights.dtype === 'f32') return [];
    const message = `must be auto or float32 where every weight is trained, as in task '${name}', which has no lora`;
    return [{ path: ['torch_dtype'], message }];
  });
}
