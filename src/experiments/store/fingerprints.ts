/** Hashes of what a run is made of: its model, its data, and a first adapter. */

import { createHash } from 'node:crypto';
import { closeSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { ADAPTER_WEIGHTS } from '../../adapters/file.js';
import type { Backend } from '../../backends/contract.js';
import { readFault } from '../../util/faults.js';
import { openRegular } from '../../util/read.js';
import type { Fingerprints, LoadedConfig, ResolvedSource } from '../config/index.js';
import { isOwn } from '../config/settings/rows.js';
import { SPLIT_NAMES } from '../config/splits.js';
import { sourceFiles } from '../data/tables.js';
import { aboutTask } from '../data/task-data.js';

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
      for (const split of SPLIT_NAMES) {
        const source = task[split];
        // Any other is told by the file that it is a part of.
        if (source && isOwn(split, source))
          data[`${task.name}.${split}`] = await aboutTask(task, () => this.ofSource(source.from));
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

  private async ofSource(from: ResolvedSource['from']): Promise<string> {
    if (!('mixture' in from)) return this.hash(await sourceFiles(from), Infinity);
    const hashes: string[] = [];
    for (const one of from.mixture) hashes.push(this.hash(await sourceFiles(one.from), Infinity));
    return createHash('sha256').update(hashes.join()).digest('hex').slice(0, 16);
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
