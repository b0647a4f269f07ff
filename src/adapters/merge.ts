/**
 * Merging an adapter into full-precision weights: W + scaling · B · A, one tensor at a time from the base's checkpoint into a new one,
 * so that merging a model takes one tensor's memory.
 */

import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Backend, Matrix } from '../backends/contract.js';
import {
  checkFinite,
  fromFloat32,
  openCheckpoint,
  SafetensorsFile,
  writeCheckpoint,
  type Checkpoint,
  type FloatDtype,
} from '../files/index.js';
import { readJson } from '../models/load.js';
import { copyCompanions, writeConfig } from '../models/save.js';
import { Tensor } from '../tensor/tensor.js';
import { UserError } from '../util/errors.js';
import { ADAPTER_WEIGHTS, PEFT_PREFIX, readAdapterConfig, refuseForeign } from './peft.js';
import { moduleScaling } from './lora.js';

export interface MergeOptions {
  /** As the base has them where absent. */
  readonly dtype?: FloatDtype | undefined;
  readonly maxShardSize?: number | string | undefined;
}

/** Writes base + adapter into `out` as a Hugging Face model folder. @returns the modules that were changed */
export async function mergeAdapter(
  backend: Backend,
  baseFolder: string,
  adapterFolder: string,
  out: string,
  { dtype, maxShardSize }: MergeOptions = {},
): Promise<string[]> {
  if (resolve(out) === resolve(baseFolder))
    throw new UserError(`${out} is the base model's own folder: name another for the merged one`);
  const config = readAdapterConfig(adapterFolder);
  const base = openCheckpoint(baseFolder);
  const adapter = SafetensorsFile.open(join(adapterFolder, ADAPTER_WEIGHTS));
  try {
    if (base.names.some((name) => name.includes('.quant_state.'))) {
      throw new UserError(
        `${baseFolder} holds 4-bit weights: merge into the full-precision checkpoint that they were made from`,
      );
    }
    refuseForeign(adapter.path, adapter.names);
    const merged = new Map<string, string>();
    for (const name of adapter.names) {
      const module = /^base_model\.model\.(.+)\.lora_A\.weight$/.exec(name)?.[1];
      if (module !== undefined) merged.set(weightOf(base, module), module);
    }
    if (merged.size === 0) throw new UserError(`${adapter.path} holds no tensor of an adapter`);
    const tensors = base.names.map((name) => {
      const { dtype: stored, shape } = base.info(name);
      const module = merged.get(name);
      const to = dtype !== undefined && isFloat(stored) ? dtype : stored;
      return {
        name,
        dtype: to,
        shape,
        data: async () => {
          if (to === stored && module === undefined) return base.read(name).data;
          const values = base.readFloat32(name);
          if (module !== undefined)
            await addProduct(backend, values, shape, adapter, module, moduleScaling(config, module));
          return fromFloat32(to as FloatDtype, values);
        },
      };
    });
    mkdirSync(out, { recursive: true });
    await writeCheckpoint(out, tensors, maxShardSize === undefined ? {} : { maxShardSize });
    if (dtype === undefined) copyFileSync(join(baseFolder, 'config.json'), join(out, 'config.json'));
    else writeConfig(out, readJson(join(baseFolder, 'config.json')), dtype);
    copyCompanions(baseFolder, out);
    return [...merged.values()];
  } finally {
    adapter.close();
    base.close();
  }
}

/** The tensor that a module's product is added to. A tied head's is the embedding: adding there would change the inputs, too. */
function weightOf(base: Checkpoint, module: string): string {
  const name = `${module}.weight`;
  if (base.has(name)) return name;
  throw new UserError(
    `the adapter has module '${module}', but ${base.folder} has no tensor '${name}'` +
      (module.endsWith('lm_head')
        ? ': its output head is tied to the embedding, so this adapter cannot be merged'
        : ''),
  );
}

/** values [out, in] += scaling · B [out, r] · A [r, in]. */
async function addProduct(
  backend: Backend,
  values: Float32Array,
  shape: readonly number[],
  adapter: SafetensorsFile,
  module: string,
  scaling: (r: number) => number,
): Promise<void> {
  const [outFeatures, inFeatures] = shape as [number, number];
  const pairs = ['lora_A', 'lora_B'].map((part) => {
    const name = `${PEFT_PREFIX}${module}.${part}.weight`;
    const { dtype, shape, data } = adapter.read(name);
    checkFinite(adapter.path, name, dtype, shape, data);
    return { info: shape, values: adapter.readFloat32(name) };
  });
  const [a, b] = pairs as [(typeof pairs)[0], (typeof pairs)[0]];
  const r = a.info[0]!;
  if (a.info[1] !== inFeatures || b.info[0] !== outFeatures || b.info[1] !== r) {
    throw new UserError(
      `${adapter.path}: module '${module}' does not fit the base's weight [${shape.join(', ')}]`,
    );
  }
  const held = [
    Tensor.from(backend, values, shape),
    Tensor.from(backend, a.values, a.info),
    Tensor.from(backend, b.values, b.info),
  ];
  const [w, ta, tb] = held as [Tensor, Tensor, Tensor];
  const right: Matrix = { kind: 'dense', rows: r, cols: inFeatures, data: ta };
  backend.kernels.gemm({
    m: outFeatures,
    n: inFeatures,
    k: r,
    a: tb,
    b: right,
    c: w,
    alpha: scaling(r),
    accumulate: true,
  });
  values.set(await w.toFloat32());
  for (const t of held) t.release();
}

function isFloat(dtype: string): boolean {
  return ['F64', 'F32', 'F16', 'BF16'].includes(dtype);
}

/** Whether a folder holds an adapter rather than a model. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, 'adapter_config.json'));
}
