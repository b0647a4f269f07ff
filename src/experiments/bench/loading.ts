/** How long a checkpoint takes to load, quantized on the way, beside the bare reading of its bytes. */

import { closeSync, mkdtempSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import type { BenchShape } from '../../models/family.js';
import { loadModel, randomModel } from '../../models/load.js';
import { saveModel } from '../../models/save.js';
import { settle } from './model.js';

interface LoadFigures {
  /** Of the checkpoint's files. */
  readonly bytes: number;
  readonly readSeconds: number;
  readonly loadSeconds: number;
}

const CHUNK = 64 << 20;

/**
 * Writes a sharded bfloat16 checkpoint of random weights into the system's folder for temporary files, reads it and loads it in turns,
 * and removes it; the times are the best of `repetitions`, so that both find the files as the machine caches them.
 */
export async function benchLoading(
  backend: Backend,
  shape: BenchShape,
  repetitions: number,
): Promise<LoadFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-bench-'));
  try {
    const random = await randomModel(backend, shape.config, { dtype: 'bf16' });
    await saveModel(random, folder, { dtype: 'BF16' });
    random.dispose();
    settle(backend);
    let bytes = 0;
    let readSeconds = Infinity;
    let loadSeconds = Infinity;
    for (let i = 0; i < repetitions; i++) {
      let started = performance.now();
      bytes = readAll(folder);
      readSeconds = Math.min(readSeconds, (performance.now() - started) / 1000);
      started = performance.now();
      const model = await loadModel(backend, folder, { dtype: 'bf16', quantization: { doubleQuant: true } });
      await backend.synchronize();
      loadSeconds = Math.min(loadSeconds, (performance.now() - started) / 1000);
      model.dispose();
      settle(backend);
    }
    return { bytes, readSeconds, loadSeconds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads every safetensors file into one block of memory again and again; says how many bytes there were. */
function readAll(folder: string): number {
  const room = new Uint8Array(CHUNK);
  let total = 0;
  for (const name of readdirSync(folder).filter((n) => n.endsWith('.safetensors'))) {
    const fd = openSync(join(folder, name), 'r');
    for (let count = 1; count > 0; total += count) count = readSync(fd, room, 0, CHUNK, null);
    closeSync(fd);
  }
  return total;
}
