/** Hashes of what a run is made of: its model, its data, and a first adapter. */

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ADAPTER_WEIGHTS } from '../../adapters/file.js';
import type { Backend } from '../../backends/contract.js';
import { ggufWeights } from '../../files/index.js';
import { hashFiles, SAMPLES } from '../../util/hash-files.js';
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

  async of({ config }: Pick<LoadedConfig, 'config'>): Promise<Fingerprints> {
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
    const gguf = ggufWeights(modelFolder);
    if (gguf !== undefined) weights.push(gguf);
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
