/** `westwind export`: what was tuned, or any model, as one file for other programs. */

import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Backend } from '../backends/contract.js';
import { isAdapterFolder, mergeAdapter } from '../adapters/merge.js';
import { readAdapterConfig } from '../adapters/peft.js';
import {
  exportAdapterGguf,
  exportGguf,
  FILE_TYPES,
  type Exported,
  type FileType,
  type GgufExport,
} from '../export/gguf/index.js';
import { exportOllama } from '../export/ollama/index.js';
import { openGguf, openOwn, type OpenReader } from '../experiments/certify/index.js';
import { TASK_FILES } from '../experiments/store/layout.js';
import { isRunFolder, readRun } from '../experiments/store/stored.js';
import { resolveModel } from '../import/resolve.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { certificateOptions, plannedCertificate, type CertificateFlags } from './certificate.js';
import { deviceOptions, openBackend } from './device.js';
import { interrupted } from './interrupt.js';
import type { Verb } from './main.js';
import { say, warn } from './output.js';
import { barOf } from './progress.js';
import { runIn } from './runs.js';
import { gib } from './units.js';

const TYPES = Object.keys(FILE_TYPES).map((type) => type.toLowerCase());

interface Flags extends CertificateFlags {
  readonly to: string;
  readonly type?: string;
  readonly out: string;
  readonly task?: string;
  readonly force?: boolean;
}

export const verb: Verb = (command) => {
  certificateOptions(deviceOptions(command))
    .argument(
      '<what>',
      "a run's folder or that of one run, an adapter or a model (a folder, a name on the hub), or a GGUF file",
    )
    .requiredOption('-o, --out <path>', 'the file that is written; of safetensors and ollama the folder')
    .option('--to <format>', Object.keys(FORMATS).join(', '), 'gguf')
    .option('--type <type>', `${TYPES.join(', ')} (default: f16; of safetensors: as the base)`)
    .option('--task <name>', 'which of a run with several tasks')
    .option(
      '--model <name>',
      'the base model: a folder, a GGUF file or a name on the hub (default: what the adapter names)',
    )
    .option('--revision <name>', "a branch, tag or commit of the hub's model")
    .option('--force', 'write over a file that is there')
    .action(async (what: string, flags: Flags) => {
      const { write, open } = formatOf(flags);
      const type = flags.type === undefined && flags.to === 'safetensors' ? 'auto' : fileType(flags);
      const signal = interrupted();
      const source = await sourceOf(what, flags, signal);
      const bar = process.stdout.isTTY
        ? barOf(process.stdout, ({ value, total }) => ({
            title: 'exporting',
            count: `${gib(value)}/${gib(total)} GiB`,
            rest: [],
          }))
        : undefined;
      try {
        const folder = await resolveModel(source.base, { revision: source.revision, signal });
        const backend = await openBackend(flags);
        const certified = await plannedCertificate({
          ...{ what, run: source.run, path: flags.out, format: flags.to, type },
          ...{ open, flags, backend, signal },
        });
        const { said, notes } = await write(flags, {
          backend,
          source,
          base: { name: source.base, folder },
          ...{ adapter: source.adapter, out: flags.out, force: flags.force, signal },
          onProgress: (done, total) => {
            if (bar?.isActive === false) bar.start(total, done, { rest: [] });
            bar?.update(done);
          },
        });
        bar?.stop();
        for (const note of notes) warn(note);
        say(said);
        await certified();
      } catch (error) {
        bar?.stop();
        if (!isAbort(error, signal)) throw error;
        say(`stopped; ${flags.out} is as it was before`);
        process.exitCode = 130;
      }
    });
};

/** What is written, but for its type. */
interface Job extends Omit<GgufExport, 'type'> {
  readonly backend: Backend;
  readonly source: Source;
}

/** What is said in the end. */
interface Written {
  readonly said: string;
  readonly notes: readonly string[];
}

interface Format {
  readonly write: (flags: Flags, job: Job) => Promise<Written>;
  /** Who runs what was written, for its certificate. Absent: it is an adapter, and runs over whatever base it is put. */
  readonly open?: OpenReader;
}

const FORMATS: Readonly<Record<string, Format>> = {
  gguf: {
    async write(flags, job) {
      const type = fileType(flags);
      return written(type, job, await exportGguf(job.backend, { ...job, type }));
    },
    open: openGguf,
  },
  'adapter-gguf': {
    async write(flags, job) {
      const type = fileType(flags);
      return written(type, job, await exportAdapterGguf({ ...job, type }));
    },
  },
  safetensors: {
    async write(flags, { backend, base, adapter, out, force, signal }) {
      const dtype = flags.type === undefined ? undefined : fileType(flags);
      if (dtype !== undefined && !isDtype(dtype))
        throw new UserError(`--type ${flags.type!}: safetensors have f32, f16 and bf16`);
      const options = { dtype, force, signal };
      const modules = await mergeAdapter(backend, base.folder, adapter, out, options);
      const merged = adapter === undefined ? '' : `, ${modules.length} modules merged`;
      return { said: `wrote ${out}: a model folder${merged}`, notes: [] };
    },
    open: openOwn,
  },
  ollama: {
    write: (flags, job) => ollama(flags, job, false),
    open: (order) => openGguf({ ...order, path: join(order.path, 'model.gguf') }),
  },
  'ollama-adapter': { write: (flags, job) => ollama(flags, job, true) },
};

async function ollama(flags: Flags, job: Job, apart: boolean): Promise<Written> {
  const type = fileType(flags);
  const { greedy, plain } = job.source;
  const options = { ...job, type, apart, greedy, plain };
  const { said, notes } = written(type, job, await exportOllama(job.backend, options));
  const command = `ollama create NAME -f ${join(job.out, 'Modelfile')}`;
  return { said: `${said}; ${command}`, notes };
}

function written(type: FileType, { out }: Job, { tensors, bytes, notes }: Exported): Written {
  return { said: `wrote ${out}: ${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB, ${type}`, notes };
}

const isDtype = (type: FileType): type is 'F32' | 'F16' | 'BF16' => ['F32', 'F16', 'BF16'].includes(type);

/** Throws UserError for a format that is not known. */
function formatOf({ to }: Flags): Format {
  if (Object.hasOwn(FORMATS, to)) return FORMATS[to]!;
  throw new UserError(`--to ${to}: ${Object.keys(FORMATS).join(', ')} are known`);
}

/** Throws UserError for a type that is not known. */
export function fileType({ type = 'f16' }: Pick<Flags, 'type'>): FileType {
  const name = type.toUpperCase();
  if (Object.hasOwn(FILE_TYPES, name)) return name as FileType;
  throw new UserError(`--type ${type}: ${TYPES.join(', ')} are known`);
}

export interface Source {
  readonly base: string;
  readonly revision: string | undefined;
  readonly adapter?: string;
  /** Of a run: whether its answers were the likeliest tokens, and whether its prompts were laid out without a chat template. */
  readonly greedy?: boolean;
  readonly plain?: boolean;
  /** Whose task's training it is. */
  readonly run?: { readonly folder: string; readonly task: string };
}

/** What is exported: the base by its name, and the adapter over it. */
export async function sourceOf(
  what: string,
  { task, model, revision }: Pick<Flags, 'task' | 'model' | 'revision'>,
  signal: AbortSignal,
): Promise<Source> {
  const run = runIn(what);
  if (run !== undefined) return tunedOf(run, task, { model, revision });
  if (task !== undefined) throw new UserError(`--task goes with a run's folder, and ${what} is none`);
  // The hub has adapters, too.
  const folder = existsSync(what) ? what : await resolveModel(what, { revision, signal });
  if (!isAdapterFolder(folder)) return { base: what, revision };
  const base = model ?? readAdapterConfig(folder).base_model_name_or_path;
  if (base == null) throw new UserError(`${what} does not name its base model: give it by --model`);
  // What is said of a revision is said of what is named.
  return { base, revision: folder === what ? revision : undefined, adapter: folder, ...runOf(folder) };
}

/** Of an adapter's folder: the run that trained it, where it lies in one's. */
function runOf(adapter: string): Pick<Source, 'run'> {
  const own = dirname(resolve(adapter));
  const folder = dirname(own);
  const isRuns = basename(resolve(adapter)) === TASK_FILES.adapter && isRunFolder(folder);
  return isRuns ? { run: { folder, task: basename(own) } } : {};
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
  const run = { folder, task };
  const { generation, settings } = config.tasks.find(({ name }) => name === task)!;
  const answers = { greedy: !generation.do_sample, plain: settings.task !== 'chat' };
  if (!isAdapterFolder(adapter))
    return { base: resolve(own, TASK_FILES.model), revision: undefined, ...answers, run };
  return {
    ...answers,
    base: given.model ?? config.model_name_or_path,
    revision: given.revision ?? config.revision,
    adapter,
    run,
  };
}
