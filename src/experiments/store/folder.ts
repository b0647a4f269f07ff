/** A run's folder: named by what determines the result, marked with where it came from, held by one process at a time. */

import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, readdirSync, readSync, rmSync } from 'node:fs';
import { arch, cpus, platform, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { ADAPTER_WEIGHTS } from '../../adapters/file.js';
import type { Backend } from '../../backends/contract.js';
import { writeFileAtomic } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';
import { readFault, writeFault } from '../../util/faults.js';
import { takeLock } from '../../util/lock.js';
import { openRegular } from '../../util/read.js';
import { resultHash, type Fingerprints, type LoadedConfig } from '../config/index.js';
import { describeProgram } from './program.js';
import { aboutTask, sourceFiles } from '../data/task-data.js';

export interface RunFolder {
  readonly path: string;
  release(): void;
}

/** The file in a run's folder that names the process at work on it. */
export const LOCK = 'running.pid';
/** Why a run of a study ended without a result. */
export const FAULT = 'failed.json';

/** Where the run of a configuration is, or will be. */
export function runPath({ config }: LoadedConfig, fingerprints: Fingerprints): string {
  return join(config.output_dir, resultHash(config, fingerprints));
}

/**
 * Makes or finds the folder of a configuration, writes its manifest, and takes hold of it.
 * @param weights how the base model's are held (base-weights.ts)
 */
export function openRunFolder(
  loaded: LoadedConfig,
  fingerprints: Fingerprints,
  backend: Backend,
  weights: string,
): RunFolder {
  const { config, source } = loaded;
  const path = runPath(loaded, fingerprints);
  const id = basename(path);
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw writeFault(path, error);
  }
  const lock = hold(path);
  removeUnfinished(path);
  rmSync(join(path, FAULT), { force: true });
  const manifest = join(path, 'manifest.json');
  if (!existsSync(manifest)) {
    const machine = {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memory_bytes: totalmem(),
      platform: `${platform()} ${arch()}`,
      backend: backend.description,
    };
    const text = {
      id,
      ...describeProgram(),
      started: new Date().toISOString(),
      machine,
      fingerprints,
      weights,
      config,
    };
    writeFileAtomic(manifest, JSON.stringify(text, null, 2) + '\n');
    writeFileAtomic(join(path, source.path.endsWith('.json') ? 'config.json' : 'config.yaml'), source.text);
  }
  return { path, release: () => rmSync(lock, { force: true }) };
}

/** Keeps in a run's folder why it has no result. */
export function recordFault(folder: string, message: string): void {
  const fault = { message, at: new Date().toISOString() };
  writeFileAtomic(join(folder, FAULT), JSON.stringify(fault, null, 2) + '\n');
}

function hold(folder: string): string {
  const path = join(folder, LOCK);
  let holder: number | undefined;
  try {
    holder = takeLock(path);
  } catch (error) {
    throw writeFault(path, error);
  }
  if (holder !== undefined) {
    const process = holder > 0 ? `process ${holder}` : 'another process';
    throw new UserError(`${folder} is being worked on by ${process}: wait for it, or stop it first`);
  }
  return path;
}

/** Files that a killed process was writing have temporary names still. */
function removeUnfinished(folder: string): void {
  for (const file of readdirSync(folder, { recursive: true }).map(String))
    if (/^\..*\.tmp$/.test(basename(file))) rmSync(join(folder, file), { force: true });
}

/** Hashes of what runs are made of: each file that several have in common is read once. */
export class Fingerprinting {
  private readonly hashes = new Map<string, string>();

  constructor(
    private readonly modelFolder: string,
    private readonly backend: Backend,
  ) {}

  async of({ config }: LoadedConfig): Promise<Fingerprints> {
    const { backend, modelFolder } = this;
    const data: Record<string, string> = {};
    const adapters: Record<string, string> = {};
    for (const task of config.tasks) {
      if (task.adapter !== undefined)
        adapters[task.name] = this.hash([join(task.adapter, ADAPTER_WEIGHTS)], Infinity);
      for (const split of ['train', 'test'] as const) {
        const source = task[split];
        if (source)
          data[`${task.name}.${split}`] = this.hash(
            await aboutTask(task, () => sourceFiles(source)),
            Infinity,
          );
      }
    }
    const weights = readdirSync(modelFolder)
      .filter((file) => /\.(safetensors|json|jinja)$/.test(file))
      .sort()
      .map((file) => join(modelFolder, file));
    return {
      model: this.hash(weights, SAMPLES),
      data,
      ...(Object.keys(adapters).length > 0 && { adapters }),
      backend: `${backend.name}, ${backend.arithmetic}`,
      batchInvariant: backend.batchInvariant,
    };
  }

  private hash(paths: readonly string[], samples: number): string {
    const key = JSON.stringify(paths);
    const hash = this.hashes.get(key) ?? hashFiles(paths, samples);
    this.hashes.set(key, hash);
    return hash;
  }
}

/** Pieces of a checkpoint's file that are hashed: enough to tell checkpoints apart without reading all of 14 GB at each start. */
const SAMPLES = 64;
const SAMPLE_BYTES = 1 << 20;

/**
 * The files' sizes and contents; of one larger than `samples` MiB, that many evenly spaced pieces.
 * @param most bytes that a file may have
 * @throws UserError for what is no regular file, or is larger
 */
export function hashFiles(paths: readonly string[], samples: number, most = Infinity): string {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(SAMPLE_BYTES);
  for (const path of paths) {
    const { fd, size } = openRegular(path, most);
    try {
      hash.update(`${size}\n`);
      const step = Math.max(SAMPLE_BYTES, Math.floor(size / samples));
      for (let at = 0; at < size; at += step)
        hash.update(buffer.subarray(0, readSync(fd, buffer, 0, SAMPLE_BYTES, at)));
    } catch (error) {
      throw readFault(path, error);
    } finally {
      closeSync(fd);
    }
  }
  return hash.digest('hex').slice(0, 16);
}
