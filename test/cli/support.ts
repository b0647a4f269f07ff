/** The program as its users start it: real processes, a tiny model made on the spot, a little data. */

import { spawn, type ChildProcess } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { saveModel } from '../../src/models/save.js';
import { backend, tinyConfig, tinyModel } from '../support/tiny.js';

const ROOT = resolve(import.meta.dirname, '../..');
const TOKENIZER = join(ROOT, 'test/golden/stories260K');

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  /** Resolves once standard output holds `text`; rejects when the process ends without it. */
  until(text: string): Promise<void>;
  /** To the whole process group, as a terminal does it. */
  signal(name: NodeJS.Signals): void;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A shell's line before the command, such as a limit. */
  readonly shell?: string;
}

/** What Node.js runs: the build where it is newer than all sources, as after `npm ci`; else the sources, which take a second more. */
const PROGRAM = isBuilt()
  ? [join(ROOT, 'dist/cli/main.js')]
  : ['--import', import.meta.resolve('tsx'), join(ROOT, 'src/cli/main.ts')];

function isBuilt(): boolean {
  const built = statSync(join(ROOT, 'dist/cli/main.js'), { throwIfNoEntry: false });
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true }).map((name) =>
    join(ROOT, 'src', String(name)),
  );
  return built !== undefined && sources.every((path) => statSync(path).mtimeMs < built.mtimeMs);
}

/** The words of `westwind ...args`. */
export function commandOf(args: readonly string[]): [program: string, ...words: string[]] {
  return [process.execPath, ...PROGRAM, ...args];
}

/** Starts `westwind ...args` in a process group of its own. */
export function start(args: readonly string[], { cwd, env, shell }: StartOptions = {}): Running {
  const words = commandOf(args);
  const [command, ...list] =
    shell === undefined ? words : (['/bin/sh', '-c', `${shell}; exec "$0" "$@"`, ...words] as const);
  const child = spawn(command, list, {
    cwd: cwd ?? ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Tests run beside one another, and a tiny model gains nothing by a second thread.
    env: { ...process.env, NO_COLOR: '1', WESTWIND_THREADS: '1', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Outcome>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => done({ code, signal, stdout, stderr }));
  });
  return {
    child,
    ended,
    until: (text) =>
      new Promise((done, fail) => {
        const look = (): void => {
          if (stdout.includes(text)) done();
        };
        child.stdout.on('data', look);
        look();
        void ended.then(() => fail(new Error(`ended without '${text}':\n${stdout}${stderr}`)));
      }),
    signal: (name) => {
      try {
        process.kill(-child.pid!, name);
      } catch {
        // It has ended already.
      }
    },
  };
}

export function westwind(args: readonly string[], options: StartOptions = {}): Promise<Outcome> {
  return start(args, options).ended;
}

const SMALL = tinyConfig({ max_position_embeddings: 256, sliding_window: null });

let scratch: string | undefined;

/** A folder that is gone when the test file ends. */
export function temporaryFolder(): string {
  if (scratch === undefined) {
    const made = (scratch = mkdtempSync(join(tmpdir(), 'westwind-cli-')));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  }
  return mkdtempSync(join(scratch, 'job-'));
}

/** A random model of 512 tokens with the tokenizer of stories260K; `family` is a config of any architecture, whose vocabulary is replaced. */
export async function makeModel(folder: string, family = SMALL): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const model = await tinyModel(await backend(), { seed: 3 }, { ...family, vocab_size: 512 });
  await saveModel(model, folder);
  model.dispose();
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(TOKENIZER, file), join(folder, file));
  return folder;
}

const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  boat: ['The boat is on the sea', 'She has a red boat', 'A big boat went home'],
  cat: ['The cat likes milk', 'A small cat is in the tree', 'My cat runs fast'],
  rain: ['The rain is cold', 'We play in the rain', 'Rain fell all day'],
};

/** Sentences on three subjects as CSV. */
export function sentences(rows: number, first = 0): string {
  const labels = Object.keys(SUBJECTS);
  const lines = Array.from({ length: rows }, (_, i) => {
    const label = labels[i % 3]!;
    const list = SUBJECTS[label]!;
    return `${list[Math.floor(i / 3) % list.length]!} on day ${first + i}.,${label}`;
  });
  return ['text,label', ...lines, ''].join('\n');
}

export interface JobFiles {
  readonly folder: string;
  readonly config: string;
  /** Where the run's folder comes to lie. */
  readonly runs: string;
}

/** A short classification job; `changes` replaces text of its configuration. */
export function makeJob(model: string, changes: Readonly<Record<string, string>> = {}): JobFiles {
  const folder = temporaryFolder();
  const runs = join(folder, 'runs');
  writeFileSync(join(folder, 'train.csv'), sentences(48));
  writeFileSync(join(folder, 'test.csv'), sentences(9, 100));
  let text = `model_name_or_path: ${model}
output_dir: ${runs}
seed: 5
lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: all-linear}
training:
  max_steps: 40
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 2
  learning_rate: 5e-3
  max_length: 128
  packing: isolated
  neftune_noise_alpha: 5
  logging_steps: 1
  save_steps: 3
generation: {batch_size: 4}
tasks:
  subjects:
    task: classification
    train: {path: train.csv}
    test: {path: test.csv}
    baselines: [zero_shot]
    scoring: both
    max_new_tokens: 12
`;
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`the configuration has no '${from}'`);
    text = text.replace(from, to);
  }
  const config = join(folder, 'job.yaml');
  writeFileSync(config, text);
  return { folder, config, runs };
}

/** The only run's folder below `runs`. */
export function runFolder({ runs }: JobFiles): string {
  const [id, ...others] = readdirSync(runs);
  if (id === undefined || others.length > 0) throw new Error(`${runs} does not hold one run`);
  return join(runs, id);
}

/** What a run leaves that may not depend on how often it was interrupted, by file. */
export function artefacts(job: JobFiles): Record<string, string> {
  const task = join(runFolder(job), 'subjects');
  const found: Record<string, string> = {
    adapter: readFileSync(join(task, 'adapter/adapter_model.safetensors')).toString('base64'),
  };
  for (const file of readdirSync(task).filter((name) => name.startsWith('predictions-'))) {
    // Answers are written as they come; which ones come together is not part of the result.
    found[file] = readFileSync(join(task, file), 'utf8').split('\n').sort().join('\n');
  }
  return found;
}
