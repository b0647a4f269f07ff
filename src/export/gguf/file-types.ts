/**
 * Which tensor of a file gets which type: as llama.cpp's quantizer decides it without an importance matrix (`llama_tensor_get_type` of
 * https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp, for models without experts).
 */
import { TENSOR_TYPES, type TensorType } from '../../files/index.js';

interface FileTypeFacts {
  /** `general.file_type`. */
  readonly id: number;
  /** What most matrices get. */
  readonly base: TensorType;
  /** What some layers' matrices get that suffer most. */
  readonly better?: TensorType;
}

/** The types of a whole file, by llama.cpp's names. */
export const FILE_TYPES = {
  F32: { id: 0, base: 'F32' },
  F16: { id: 1, base: 'F16' },
  BF16: { id: 32, base: 'BF16' },
  Q8_0: { id: 7, base: 'Q8_0' },
  Q6_K: { id: 18, base: 'Q6_K' },
  Q5_K_M: { id: 17, base: 'Q5_K', better: 'Q6_K' },
  Q4_K_M: { id: 15, base: 'Q4_K', better: 'Q6_K' },
  Q4_0: { id: 2, base: 'Q4_0' },
} as const satisfies Readonly<Record<string, FileTypeFacts>>;

/** The type of a whole file. */
export type FileType = keyof typeof FILE_TYPES;

/** What the choice goes by. */
export interface ModelFacts {
  readonly architecture: string;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Whether the file has a head of its own. */
  readonly ownHead: boolean;
}

/** A tensor: its name in the file, the module that it belongs to, its layer, its shape outermost first. */
export interface ChosenTensor {
  readonly module: string;
  readonly layer: number | undefined;
  /** How many layers it is counted among; absent: the model's. */
  readonly layers?: number;
  readonly shape: readonly number[];
}

/** A block of 256 that does not fit into rows of another length becomes one of 32. */
const SMALLER: Partial<Readonly<Record<TensorType, TensorType>>> = {
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

export function tensorType(type: FileType, tensor: ChosenTensor, model: ModelFacts): TensorType {
  if (tensor.shape.length < 2 || /rel_b$/.test(tensor.module)) return 'F32';
  const { base }: FileTypeFacts = FILE_TYPES[type];
  if (TENSOR_TYPES[base].block === 1) return base;
  const row = tensor.shape.at(-1)!;
  const fits = (one: TensorType): boolean => row % TENSOR_TYPES[one].block === 0;
  const chosen = wanted(type, tensor, model, fits(base));
  if (fits(chosen)) return chosen;
  const smaller = SMALLER[chosen] ?? chosen;
  return fits(smaller) ? smaller : 'F16';
}

const VALUES = /attn_(v|qkv)$/;

/**
 * llama.cpp does not look at a tensor's layer, but counts those of a kind in the order of their names, in which the tenth layer of an encoder
 * stands before the second, and its last ones behind all of the decoder: as layers of the encoder.
 */
export function turnsOf(
  tensors: readonly (Pick<ChosenTensor, 'module' | 'layer'> & { readonly name: string })[],
  { layers }: ModelFacts,
): ReadonlyMap<string, Pick<ChosenTensor, 'layer' | 'layers'>> {
  const kinds = [
    tensors.filter(({ module }) => VALUES.test(module)),
    tensors.filter(({ module }) => module === 'ffn_down'),
  ];
  const place = ({ name, layer = -1 }: (typeof tensors)[number]): number =>
    name.startsWith('blk.') ? layer : -1;
  return new Map(
    kinds.flatMap((kind, i) =>
      kind
        .filter(({ name }) => name.endsWith('.weight'))
        .sort((a, b) => place(a) - place(b) || (a.name < b.name ? -1 : 1))
        .map(
          ({ name }, turn, all) => [name, { layer: turn, layers: i === 0 ? all.length : layers }] as const,
        ),
    ),
  );
}

/** Whether its rows fit or not, but for the head's, which goes by it. */
function wanted(
  type: FileType,
  { module, layer = 0, layers }: ChosenTensor,
  model: ModelFacts,
  fits: boolean,
): TensorType {
  const { base, better }: FileTypeFacts = FILE_TYPES[type];
  const falcon = model.architecture === 'falcon';
  if (module === 'output' || (module === 'token_embd' && !model.ownHead))
    return falcon || !fits || base === 'Q8_0' ? 'Q8_0' : 'Q6_K';
  if (better === undefined) return base;
  const more = needsMore(layer, layers ?? model.layers);
  if (VALUES.test(module)) {
    if (more) return better;
    // Models of 70B: their few heads of values serve many of queries.
    const shared = model.layers === 80 && (model.architecture === 'qwen2' || model.heads !== model.kvHeads);
    return shared && base === 'Q4_K' && module === 'attn_v' ? 'Q5_K' : base;
  }
  if (module !== 'ffn_down') return base;
  if (!falcon || type !== 'Q4_K_M') return more ? better : base;
  if (layer < Math.floor(model.layers / 16)) return better;
  return more ? 'Q5_K' : base;
}

/** The first eighth of the layers, the last one, and every third of those between. */
function needsMore(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
