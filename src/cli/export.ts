/** `westwind export`: what was tuned, or any model, as one file for other programs. */

import { join, resolve } from 'node:path';
import { isAdapterFolder } from '../adapters/merge.js';
import { readAdapterConfig } from '../adapters/peft.js';
import { exportAdapterGguf, exportGguf, FILE_TYPES, type FileType } from '../export/gguf/index.js';
import { TASK_FILES } from '../experiments/store/layout.js';
import { isRunFolder, readRun } from '../experiments/store/stored.js';
import { resolveModel } from '../import/resolve.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { deviceOptions, openBackend, type DeviceFlags } from './device.js';
import { interrupted } from './interrupt.js';
import type { Verb } from './main.js';
import { say, warn } from './output.js';
import { barOf } from './progress.js';
import { gib } from './units.js';

const FORMATS = ['gguf', 'adapter-gguf'] as const;
const TYPES = Object.keys(FILE_TYPES).map((type) => type.toLowerCase());

interface Flags extends DeviceFlags {
  readonly to: string;
  readonly type: string;
  readonly out: string;
  readonly task?: string;
  readonly model?: string;
  readonly revision?: string;
  readonly force?: boolean;
}

export const verb: Verb = (command) => {
  deviceOptions(command)
    .argument(
      '<what>',
      "a run's folder, an adapter folder, a model folder, a GGUF file or a model's name on the hub",
    )
    .requiredOption('-o, --out <file>', 'the file that is written')
    .option('--to <format>', FORMATS.join(', '), 'gguf')
    .option('--type <type>', TYPES.join(', '), 'f16')
    .option('--task <name>', 'which of a run with several tasks')
    .option(
      '--model <name>',
      'the base model: a folder, a GGUF file or a name on the hub (default: what the adapter names)',
    )
    .option('--revision <name>', "a branch, tag or commit of the hub's model")
    .option('--force', 'write over a file that is there')
    .action(async (what: string, flags: Flags) => {
      const type = fileType(flags);
      const signal = interrupted();
      const source = sourceOf(what, flags);
      const bar = process.stdout.isTTY
        ? barOf(process.stdout, ({ value, total }) => ({
            title: 'exporting',
            count: `${gib(value)}/${gib(total)} GiB`,
            rest: [],
          }))
        : undefined;
      try {
        const folder = await resolveModel(source.base, { revision: source.revision, signal });
        const options = {
          base: { name: source.base, folder },
          ...{ adapter: source.adapter, type, out: flags.out, force: flags.force, signal },
          onProgress: (done: number, total: number) => {
            if (bar?.isActive === false) bar.start(total, done, { rest: [] });
            bar?.update(done);
          },
        };
        const { tensors, bytes, notes } =
          flags.to === 'adapter-gguf'
            ? await exportAdapterGguf(options)
            : await exportGguf(await openBackend(flags), options);
        bar?.stop();
        for (const note of notes) warn(note);
        say(`wrote ${flags.out}: ${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB, ${type}`);
      } catch (error) {
        bar?.stop();
        if (!isAbort(error, signal)) throw error;
        say(`stopped; ${flags.out} is as it was before`);
        process.exitCode = 130;
      }
    });
};

/** Throws UserError for a format or a type that is not known. */
function fileType({ to, type }: Flags): FileType {
  if (to === 'safetensors')
    throw new UserError("--to safetensors: 'westwind merge ADAPTER -o DIR' writes that");
  if (!FORMATS.some((format) => format === to))
    throw new UserError(`--to ${to}: ${FORMATS.join(', ')} are known`);
  const name = type.toUpperCase();
  if (Object.hasOwn(FILE_TYPES, name)) return name as FileType;
  throw new UserError(`--type ${type}: ${TYPES.join(', ')} are known`);
}

interface Source {
  readonly base: string;
  readonly revision: string | undefined;
  readonly adapter?: string;
}

/** What is exported: the base by its name, and the adapter over it. */
function sourceOf(what: string, { task, model, revision }: Flags): Source {
  if (isRunFolder(what)) return tunedOf(what, task, { model, revision });
  if (task !== undefined) throw new UserError(`--task goes with a run's folder, and ${what} is none`);
  if (!isAdapterFolder(what)) return { base: what, revision };
  const base = model ?? readAdapterConfig(what).base_model_name_or_path;
  if (base == null) throw new UserError(`${what} does not name its base model: give it by --model`);
  return { base, revision, adapter: what };
}

/** What a run's task trained. */
function tunedOf(
  folder: string,
  asked: string | undefined,
  given: { model: string | undefined; revision: string | undefined },
): Source {
  const { config } = readRun(folder).manifest;
  const names = config.tasks.map(({ name }) => name);
  const task = asked ?? (names.length === 1 ? names[0]! : undefined);
  if (task === undefined)
    throw new UserError(`${folder} has the tasks ${names.join(', ')}: choose one by --task`);
  if (!names.includes(task)) throw new UserError(`--task ${task}: ${folder} has ${names.join(', ')}`);
  const own = join(folder, task);
  if (!TASK_FILES.trained.isIn(own))
    throw new UserError(`${own} holds nothing that was trained to its end: run its configuration on`);
  const adapter = join(own, TASK_FILES.adapter);
  if (!isAdapterFolder(adapter)) return { base: resolve(own, TASK_FILES.model), revision: undefined };
  return {
    base: given.model ?? config.model_name_or_path,
    revision: given.revision ?? config.revision,
    adapter,
  };
}
