/**
 * Whole tables of the embedding and the output head that come with an adapter, in the places of the base's as long as it is on the model.
 * They may have more rows: tokens that were added to the vocabulary.
 */

import type { DenseMatrix, Matrix } from '../backends/contract.js';
import { fromFloat32 } from '../files/index.js';
import type { CausalLM } from '../models/model.js';
import { Tensor } from '../tensor/tensor.js';
import type { AdapterFile } from './file.js';

const TYPE_NAMES = { f32: 'F32', bf16: 'BF16', f16: 'F16' } as const;

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
  const base = baseOf(model).embedding;
  const type = base.data.dtype as keyof typeof TYPE_NAMES;
  const upload = ({ tensor, rows }: { readonly tensor: string; readonly rows: number }): Tensor => {
    const table = Tensor.empty(backend, [rows, base.cols], type);
    backend.upload(fromFloat32(TYPE_NAMES[type], file.read(tensor)), table);
    return table;
  };
  if (!tables.embedding && !tables.head) return undefined;
  const embedding = tables.embedding && upload(tables.embedding);
  const head = tables.head === tables.embedding ? embedding : tables.head && upload(tables.head);
  const { modules_to_save, ensure_weight_tying } = config;
  return { embedding, head, modules_to_save, ensure_weight_tying };
}

interface BaseTables {
  readonly embedding: DenseMatrix;
  readonly head: Matrix;
}

/** What models have without an adapter. */
const bases = new WeakMap<CausalLM, BaseTables>();

function baseOf(model: CausalLM): BaseTables {
  const base = bases.get(model) ?? { embedding: model.embedding.table, head: model.head.weight };
  bases.set(model, base);
  return base;
}

/** Puts tables on the model, and its own where there are none. */
export function attachTables(model: CausalLM, tables: AdapterTables | undefined): void {
  if (!bases.has(model)) return; // No adapter with tables was ever loaded.
  const base = baseOf(model);
  model.embedding.table = matrixOf(tables?.embedding) ?? base.embedding;
  model.head.weight = matrixOf(tables?.head) ?? base.head;
}

/** Takes tables off where they are on the model. */
export function detachTables(model: CausalLM, { embedding, head }: AdapterTables): void {
  const { table } = model.embedding;
  const { weight } = model.head;
  const on =
    (embedding && table.data === embedding) || (head && weight.kind === 'dense' && weight.data === head);
  if (on) attachTables(model, undefined);
}

export function freeTables({ embedding, head }: AdapterTables): void {
  for (const table of new Set([embedding, head])) table?.release();
}

function matrixOf(table: Tensor | undefined): DenseMatrix | undefined {
  const [rows, cols] = (table?.shape ?? []) as [number, number];
  return table && { kind: 'dense', rows, cols, data: table };
}
