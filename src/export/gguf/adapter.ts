/** A LoRA adapter as a GGUF file of its own, which llama.cpp puts over the exported base (`--lora`). */
import { join } from 'node:path';
import { openAdapter, type AdapterFile, type AdapterPair } from '../../adapters/file.js';
import { kindOf } from '../../adapters/kinds/index.js';
import { LORA } from '../../adapters/kinds/lora.js';
import { createPlanBackend } from '../../backends/select.js';
import {
  TENSOR_TYPES,
  writeGguf,
  type GgufTensor,
  type GgufValue,
  type TensorType,
} from '../../files/index.js';
import { familyOf } from '../../models/families/index.js';
import { ggufPlace, type GgufForm } from '../../models/gguf.js';
import { modelLayout } from '../../models/load.js';
import { isTied } from '../../models/model.js';
import { toTensorType } from '../../quant/ggml/index.js';
import { UserError } from '../../util/errors.js';
import { cardKeys } from './card.js';
import { FILE_TYPES } from './file-types.js';
import { checkFree, reordered, type Exported, type GgufExport } from './options.js';

/** Throws UserError for a type of blocks, for an adapter that is more than LoRA on matrices, and as `exportGguf` does. */
export async function exportAdapterGguf({
  base,
  adapter,
  type,
  out,
  force,
  signal,
  onProgress,
}: GgufExport): Promise<Exported> {
  const { base: plain } = FILE_TYPES[type];
  if (TENSOR_TYPES[plain].block > 1)
    throw new UserError(`an adapter's file has the type f32, f16 or bf16, not ${type.toLowerCase()}`);
  if (adapter === undefined)
    throw new UserError(`${base.name} is no adapter, which alone becomes an adapter's file`);
  checkFree(out, force);
  const model = await modelLayout(await createPlanBackend('reference'), base.folder);
  const file = openAdapter(model, adapter);
  try {
    const more = `only LoRA on matrices has a file of its own: export ${adapter} merged into its base, by --to gguf`;
    const { embedding, head } = file.tables;
    if (kindOf(file.config.kind) !== LORA || embedding || head)
      throw new UserError(`${adapter} brings more than that; ${more}`);
    if (isTied(model) && file.pairs.some(({ linear }) => linear === model.head))
      throw new UserError(`${adapter} changes a head that is the embedding's table; ${more}`);
    const form = familyOf(model.config).gguf(model.sourceConfig, join(base.folder, 'config.json'));
    const alpha = alphaOf(file.pairs[0]!);
    const tensors = file.pairs.flatMap((pair) => pairTensors(file, pair, form, alpha, plain));
    const parameters = file.pairs.reduce(
      (n, { r, linear, outFeatures }) => n + r * (linear.inFeatures + outFeatures),
      0,
    );
    const keys = new Map<string, GgufValue>([
      ...cardKeys(form.architecture, type, { ...base, name: adapter }, parameters, 'adapter'),
      ['adapter.type', { type: 'string', value: 'lora' }],
      ['adapter.lora.alpha', { type: 'float32', value: alpha }],
    ]);
    const bytes = await writeGguf(out, keys, tensors, { signal, onProgress });
    return { tensors: tensors.length, bytes, notes: [] };
  } finally {
    file.close();
    model.dispose();
  }
}

/** llama.cpp multiplies by alpha / r. */
function alphaOf({ scaling, r }: AdapterPair): number {
  return scaling * r;
}

function pairTensors(
  file: AdapterFile,
  pair: AdapterPair,
  { names, orders }: GgufForm,
  alpha: number,
  type: TensorType,
): GgufTensor[] {
  const { name, module } = ggufPlace(names, `${pair.name}.weight`)!;
  const { r, linear, outFeatures, tensors } = pair;
  // One alpha is that of all.
  const factor = alphaOf(pair) / alpha;
  const read = (tensor: string): Float32Array => file.read(tensors[tensor]!);
  const order = orders[module];
  const b = (): Float32Array => {
    const values = read('lora_B.weight').map((v) => v * factor);
    return order ? reordered(values, outFeatures, order) : values;
  };
  return [
    {
      ...{ name: `${name}.lora_a`, type, shape: [r, linear.inFeatures] },
      data: () => toTensorType(type, read('lora_A.weight')),
    },
    { name: `${name}.lora_b`, type, shape: [outFeatures, r], data: () => toTensorType(type, b()) },
  ];
}
