/** What exports have in common. */
import { existsSync } from 'node:fs';
import type { RowOrder } from '../../models/gguf.js';
import { UserError } from '../../util/errors.js';
import type { FileType } from './file-types.js';

export interface GgufExport {
  readonly base: { readonly name: string; readonly folder: string };
  readonly adapter?: string | undefined;
  readonly type: FileType;
  /** The file; one that is there is written over by `force` alone. */
  readonly out: string;
  readonly force?: boolean | undefined;
  /** Ends the writing with an AbortError. */
  readonly signal?: AbortSignal | undefined;
  /** Called behind every tensor, with bytes. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface Exported {
  readonly tensors: number;
  readonly bytes: number;
  /** What llama.cpp does otherwise than this program. */
  readonly notes: readonly string[];
}

/** Throws UserError where a file is there already. */
export function checkFree(out: string, force: boolean | undefined): void {
  if (existsSync(out) && !force)
    throw new UserError(
      `${out} is there already: name another file, or write over it by --force (in a program: force: true)`,
    );
}

/** A matrix's rows in another order. */
export function reordered(values: Float32Array, rows: number, order: RowOrder): Float32Array {
  const out = new Float32Array(values.length);
  const cols = values.length / rows;
  for (let row = 0; row < rows; row++) {
    const from = order(row) * cols;
    out.set(values.subarray(from, from + cols), row * cols);
  }
  return out;
}
