/**
 * Whole tables of the embedding and the output head that come with an adapter: a call with it takes them in the places of the model's.
 * They may have more rows: tokens that were added to the vocabulary.
 */

import type { TableMap } from '../ops/pass.js';
import type { DenseMatrix } from '../backends/span.js';
import { FLOAT_NAMES, fromFloat32, type FloatType } from '../files/index.js';
import type { CausalLM } from '../models/model.js';
import { Tensor } from '../tensor/tensor.js';
import type { AdapterFile } from './file.js';

/** [rows, hidden_size] each, in the type of the model's own; one that serves as both is the same tensor. */
export interface AdapterTables {
  readonly embedding?: Tensor | undefined;
  readonly head?: Tensor | undefined;
  /** Which of them stand in the place of the module alone, as adapter_config.json has it. */
  readonly modules_to_save?: readonly string[] | undefined;
  readonly ensure_weight_tying: boolean;
}

/** Puts a file's tables on the model's backend; undefined where it has none. */
export function uploadTables(model: CausalLM, file: AdapterFile): AdapterTables | undefined {
  const { tables, config } = file;
  const { backend } = model;
  const base = model.embedding.table;
  const type = base.data.dtype as FloatType;
  const upload = ({ tensor, rows }: { readonly tensor: string; readonly rows: number }): Tensor => {
    const table = Tensor.empty(backend, [rows, base.cols], type);
    backend.upload(fromFloat32(FLOAT_NAMES[type], file.read(tensor)), table);
    return table;
  };
  if (!tables.embedding && !tables.head) return undefined;
  const embedding = tables.embedding && upload(tables.embedding);
  const head = tables.head === tables.embedding ? embedding : tables.head && upload(tables.head);
  const { modules_to_save, ensure_weight_tying } = config;
  return { embedding, head, modules_to_save, ensure_weight_tying };
}

/** The same by the modules whose places they take. */
export function tableMap(model: CausalLM, { embedding, head }: AdapterTables): TableMap {
  const tables = new Map<object, DenseMatrix & { readonly data: Tensor }>();
  for (const [module, data] of [
    [model.embedding, embedding],
    [model.head, head],
  ] as const) {
    const [rows, cols] = (data?.shape ?? []) as [number, number];
    if (data) tables.set(module, { kind: 'dense', rows, cols, data });
  }
  return tables;
}

export function freeTables({ embedding, head }: AdapterTables): void {
  for (const table of new Set([embedding, head])) table?.release();
}
