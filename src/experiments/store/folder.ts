/** A run's folder: named by what determines the result, marked with where it came from, held by one process at a time. */

import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { arch, cpus, platform, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import { isUnfinished, writeFileAtomic } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';
import { writeFault } from '../../util/faults.js';
import { takeLock } from '../../util/lock.js';
import { resultHash, type Fingerprints, type LoadedConfig } from '../config/index.js';
import { RUN_FILES } from './layout.js';
import { describeProgram } from '../../util/program.js';

export interface RunFolder {
  readonly path: string;
  release(): void;
}

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
  rmSync(RUN_FILES.failure.in(path), { force: true });
  if (!RUN_FILES.manifest.isIn(path)) {
    const machine = {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memory_bytes: totalmem(),
      platform: `${platform()} ${arch()}`,
      backend: backend.description,
    };
    RUN_FILES.manifest.write(path, {
      id,
      ...describeProgram(),
      started: new Date().toISOString(),
      machine,
      fingerprints,
      weights,
      config,
    });
    writeFileAtomic(join(path, RUN_FILES.configuration(source.path)), source.text);
  }
  return { path, release: () => rmSync(lock, { force: true }) };
}

/** Keeps in a run's folder why it has no result. */
export function recordFault(folder: string, message: string): void {
  RUN_FILES.failure.write(folder, { message, at: new Date().toISOString() });
}

function hold(folder: string): string {
  const path = join(folder, RUN_FILES.lock);
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
    if (isUnfinished(basename(file))) rmSync(join(folder, file), { force: true });
}
