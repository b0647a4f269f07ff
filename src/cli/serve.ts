/** `westwind serve`: a model and its adapters behind OpenAI's API. */

import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { TASK_FILES } from '../experiments/store/layout.js';
import { readRun } from '../experiments/store/stored.js';
import { loadModel } from '../models/load.js';
import { readsByEncoder, type CausalLM } from '../models/model.js';
import { createApiServer, Engine, type EngineOptions } from '../server/index.js';
import { MemoryError, UserError } from '../util/errors.js';
import { readText } from '../util/read.js';
import {
  deviceOptions,
  nonNegativeInteger,
  openBackend,
  positiveInteger,
  type DeviceFlags,
} from './device.js';
import type { Verb } from './main.js';
import { modelFiles } from './model.js';
import { say, warn } from './output.js';
import { runIn } from './runs.js';

interface Flags extends DeviceFlags {
  readonly revision?: string;
  readonly loadIn4bit?: boolean;
  readonly adapter: readonly NamedAdapter[];
  readonly host: string;
  readonly port: number;
  readonly servedModelName?: string;
  readonly maxNumSeqs: number;
  readonly maxModelLen?: number;
  readonly maxQueue: number;
  readonly timeout: number;
  readonly chatTemplate?: string;
  readonly allowedOrigin: readonly string[];
  readonly maxBodyMib: number;
  readonly allowAdapterUpdates?: boolean;
}

interface NamedAdapter {
  readonly name: string;
  readonly folder: string;
}

/** Without --max-model-len no more tokens have room than this: slots are as long as the longest. */
const USUAL_LENGTH = 4096;

export const verb: Verb = (command) => {
  options(command).action(async (name: string, flags: Flags) => {
    const apiKeys = (process.env['WESTWIND_API_KEY'] ?? '').split(',').filter((key) => key !== '');
    const chat_template = flags.chatTemplate === undefined ? undefined : readText(flags.chatTemplate);
    const run = trainedBy(name);
    const revision = flags.revision ?? run?.revision;
    const files = await modelFiles(run?.base ?? name, {
      ...{ device: flags.device },
      ...(revision !== undefined && { revision }),
    });
    const backend = await openBackend(flags);
    // An adapter stands for its base and itself, a run for its base and all that it trained.
    const own = files.adapter === undefined ? [] : [{ name: named(name), folder: files.adapter }];
    const given = run?.adapters ?? own;
    const served = flags.servedModelName ?? (own.length > 0 ? named(files.folder) : (run?.base ?? name));
    let engine: Engine;
    try {
      const quantized = flags.loadIn4bit ? { quantization: { doubleQuant: true } } : {};
      const model = await loadModel(backend, files.folder, quantized);
      engine = engineOf(model, files.folder, { ...flags, served, chat_template });
      for (const adapter of [...given, ...flags.adapter]) engine.add(adapter.name, adapter.folder);
    } catch (error) {
      if (!(error instanceof MemoryError)) throw error;
      throw new UserError(
        `${error.what}: lower --max-num-seqs or --max-model-len, which the cache's size is a product of` +
          (flags.loadIn4bit ? '' : ', or give --load-in-4bit'),
      );
    }
    await serve(engine, flags, apiKeys);
  });
};

/** What the run trained that a path names: its base, and its tasks' adapters by their names; undefined: it names none. */
function trainedBy(
  path: string,
):
  | { readonly base: string; readonly revision: string; readonly adapters: readonly NamedAdapter[] }
  | undefined {
  const folder = runIn(path);
  if (folder === undefined) return undefined;
  const { model_name_or_path: base, revision, tasks } = readRun(folder).manifest.config;
  const adapters = tasks
    .filter((task) => TASK_FILES.trained.isIn(join(folder, task.name)) && task.lora !== false)
    .map((task) => ({ name: task.name, folder: join(folder, task.name, TASK_FILES.adapter) }));
  if (adapters.length === 0)
    throw new UserError(
      `${folder} has no adapter that was trained to its end: name a task's ${TASK_FILES.model} folder, or run its configuration on`,
    );
  return { base, revision, adapters };
}

function options(command: Command): Command {
  return deviceOptions(command)
    .argument(
      '<model>',
      "a model or an adapter, a folder or a name on the hub; or a run's folder, or that of one run: its base, and its tasks' adapters",
    )
    .option(
      '-a, --adapter <name=dir...>',
      'a LoRA adapter in PEFT format, and what clients call it',
      adapters,
      [],
    )
    .option('--revision <name>', "a branch, tag or commit of the hub's model")
    .option('--load-in-4bit', 'quantize the weights to NF4 on loading')
    .option('--served-model-name <name>', 'what clients call the base model (default: as it is given here)')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <n>', 'the port; 0: any that is free', portNumber, 8000)
    .option('--max-num-seqs <n>', 'answers at once', positiveInteger, 16)
    .option(
      '--max-model-len <n>',
      `tokens of a prompt and its answer (default: the model's context, ${USUAL_LENGTH} at most)`,
      positiveInteger,
    )
    .option('--max-queue <n>', 'answers that may wait; more are refused with 429', nonNegativeInteger, 256)
    .option('--timeout <seconds>', 'for a request, at the most', positiveInteger, 600)
    .option('--chat-template <file>', "a chat template in Jinja, in the place of the models' own")
    .option('--allowed-origin <origin...>', 'origins whose pages may ask; *: all', list, [])
    .option('--max-body-mib <n>', "of a request's body", positiveInteger, 16)
    .option(
      '--allow-adapter-updates',
      'clients may add and remove adapters, of any folder that can be read here',
    );
}

function engineOf(
  model: CausalLM,
  folder: string,
  flags: Flags & { readonly served: string; readonly chat_template: string | undefined },
): Engine {
  const context = readsByEncoder(model) ? USUAL_LENGTH : model.config.max_position_embeddings;
  const { maxModelLen = Math.min(context, USUAL_LENGTH) } = flags;
  if (maxModelLen > context || maxModelLen < 2)
    throw new UserError(`--max-model-len is ${maxModelLen}, and the model's context is ${context}`);
  const engine: EngineOptions = {
    ...{ name: flags.served, folder, chat_template: flags.chat_template },
    ...{ max_num_seqs: flags.maxNumSeqs, max_model_len: maxModelLen, max_queue: flags.maxQueue },
  };
  return new Engine(model, engine);
}

/** Seconds for answers that are being made when the server is asked to end. */
const GRACE = 30;

async function serve(engine: Engine, flags: Flags, apiKeys: readonly string[]): Promise<void> {
  const { host, port, timeout } = flags;
  const server = createApiServer(engine, {
    ...{ apiKeys, timeout, origins: flags.allowedOrigin, maxBytes: flags.maxBodyMib * 2 ** 20 },
    updatesAdapters: flags.allowAdapterUpdates ?? false,
    onFault: (error) => warn(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new UserError(`cannot listen at ${host}, port ${port}: ${reasonOf(error)}`)),
    );
    server.listen(port, host, resolve);
  });
  const { address, port: bound } = server.address() as AddressInfo;
  if (apiKeys.length === 0 && !isLoopback(address))
    warn(
      `whoever reaches ${address} can use this model: set WESTWIND_API_KEY to a key that clients have to send`,
    );
  const shown = address.includes(':') ? `[${address}]` : address;
  say(`serving ${engine.list.map(({ name }) => name).join(', ')} at http://${shown}:${bound}/v1`);
  await new Promise<void>((resolve) => {
    let asked = false;
    const end = (): void => {
      // Whoever asks twice does not wait.
      if (asked) process.exit(130);
      asked = true;
      resolve();
    };
    process.on('SIGINT', end);
    process.on('SIGTERM', end);
  });
  const closed = new Promise((resolve) => server.close(resolve));
  await engine.close(GRACE);
  server.closeAllConnections();
  await closed;
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return 'another program listens there; choose another --port';
  if (code === 'EACCES') return 'this user may not; choose a --port from 1024';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return 'this machine has no such address; choose another --host';
  return message;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function portNumber(text: string): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || n > 65_535)
    throw new InvalidArgumentError('a whole number from 0 to 65535 is wanted');
  return n;
}

function adapters(text: string, before: readonly NamedAdapter[]): NamedAdapter[] {
  const [, name, folder] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || folder === undefined) throw new InvalidArgumentError('NAME=DIR is wanted');
  return [...before, { name, folder }];
}

const list = (text: string, before: readonly string[]): string[] => [...before, text];

function named(folder: string): string {
  return folder.replace(/\/+$/, '').split('/').at(-1)!;
}
