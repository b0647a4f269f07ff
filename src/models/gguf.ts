/**
 * A family's form in GGUF files: which architecture of llama.cpp it is, what its keys say, and what becomes of each tensor
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized key-value pairs"; the names of tensors are llama.cpp's).
 */

import type { GgufValue } from '../files/index.js';
import { UserError } from '../util/errors.js';
import type { DecoderConfig, DecoderTraits } from './blocks/decoder.js';
import { inverseFrequencies, type RopeParameters } from './blocks/rotary.js';
import { ROPE_FACTORS } from './gguf-facts.js';

/** For each row of a matrix, or element of a bias, the row of the checkpoint's that it is. */
export type RowOrder = (row: number) => number;

export interface GgufForm {
  /** `general.architecture`. */
  readonly architecture: string;
  /** Keys below the architecture's name. */
  readonly keys: Readonly<Record<string, GgufValue>>;
  /** The layers' tensors by their modules, and the others by their whole names, without 'weight' and 'bias'. */
  readonly names: GgufNames;
  /** By the module's name in GGUF. */
  readonly orders: Readonly<Record<string, RowOrder>>;
  /** What tensors are multiplied by, by the module's name in GGUF. */
  readonly factors: Readonly<Record<string, number>>;
  /** What is added to the weights of norms. */
  readonly normOffset: 0 | 1;
  /** Whether a head that is the embedding's table is written all the same. */
  readonly ownHead: boolean;
  /** Tensors that no checkpoint has. */
  readonly extra: Readonly<Record<string, Float32Array>>;
  /** What llama.cpp does otherwise, for people. */
  readonly notes: readonly string[];
}

/** Layers of one kind, one behind the other. */
interface GgufStack {
  /** Where a checkpoint has them, such as 'model.layers', and where a GGUF file, such as 'blk'. */
  readonly layers: string;
  readonly blocks: string;
  readonly count: number;
  readonly inLayer: Readonly<Record<string, string>>;
}

export interface GgufNames {
  readonly stacks: readonly GgufStack[];
  readonly outside: Readonly<Record<string, string>>;
}

/** Where a tensor of a checkpoint goes. */
export interface GgufPlace {
  readonly name: string;
  /** Its module without the layer, such as 'attn_q'. */
  readonly module: string;
  readonly layer: number | undefined;
  /** The number of the layer's stack. */
  readonly stack: number;
}

/** Buffers that older checkpoints hold beside the weights. */
const BUFFERS = /\.(attention\.(masked_)?bias|rotary_emb\.inv_freq)$/;

/** undefined: it is no weight. Throws UserError for a tensor that has no name in GGUF. */
export function ggufPlace({ stacks, outside }: GgufNames, tensor: string): GgufPlace | undefined {
  if (BUFFERS.test(tensor)) return undefined;
  const [, path = '', kind] = /^(.*)\.(weight|bias)$/.exec(tensor) ?? [];
  if (Object.hasOwn(outside, path))
    return { name: `${outside[path]!}.${kind!}`, module: outside[path]!, layer: undefined, stack: 0 };
  for (const [stack, { layers, blocks, inLayer }] of stacks.entries()) {
    const within = path.startsWith(`${layers}.`) ? path.slice(layers.length + 1) : '';
    const [, layer, part = ''] = /^(\d+)\.(.*)$/.exec(within) ?? [];
    if (!Object.hasOwn(inLayer, part)) continue;
    const module = inLayer[part]!;
    return { name: `${blocks}.${layer!}.${module}.${kind!}`, module, layer: Number(layer), stack };
  }
  throw new UserError(`tensor '${tensor}' has no place in a GGUF file of this architecture`);
}

export const uint = (value: number): GgufValue => ({ type: 'uint32', value });
export const float = (value: number): GgufValue => ({ type: 'float32', value });
const text = (value: string): GgufValue => ({ type: 'string', value });
export const flag = (value: boolean): GgufValue => ({ type: 'bool', value });

/** Throws UserError where a config has what llama.cpp's architecture has not. */
export function refuseForm(when: boolean, path: string, what: string): void {
  if (when)
    throw new UserError(
      `${path}: ${what}, which llama.cpp's architecture has not: it is not exported to GGUF`,
    );
}

/** Both halves of each head, which are turned as pairs of neighbours: llama.cpp's rotation of the 'llama' architecture. */
function neighbours(headDim: number): RowOrder {
  return (row) => {
    const at = row % headDim;
    return row - at + (at % 2) * (headDim / 2) + (at >> 1);
  };
}

/**
 * Queries, keys and values of all heads one behind the other, out of groups of `queries` queries with their key and value; each of
 * `headDim` rows.
 */
export function ungrouped(groups: number, queries: number, headDim: number): RowOrder {
  const group = (queries + 2) * headDim;
  return (row) => {
    const [head, at] = [Math.floor(row / headDim), row % headDim];
    const all = groups * queries;
    if (head < all) return Math.floor(head / queries) * group + (head % queries) * headDim + at;
    const rest = head - all;
    return (rest % groups) * group + (queries + Math.floor(rest / groups)) * headDim + at;
  };
}

/** Keys that all architectures have. */
export function commonKeys(c: {
  readonly max_position_embeddings: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly vocab_size: number;
}): Record<string, GgufValue> {
  return {
    vocab_size: uint(c.vocab_size),
    context_length: uint(c.max_position_embeddings),
    embedding_length: uint(c.hidden_size),
    block_count: uint(c.num_hidden_layers),
    feed_forward_length: uint(c.intermediate_size),
    'attention.head_count': uint(c.num_attention_heads),
  };
}

/** `dim`: elements of a head that are turned. What llama.cpp reads of llama3's scaling is a tensor. */
export function ropeKeys(
  dim: number,
  { rope_theta, rope_type, factor }: RopeParameters,
): Record<string, GgufValue> {
  return {
    'rope.dimension_count': uint(dim),
    'rope.freq_base': float(rope_theta),
    ...(rope_type === 'linear' && {
      'rope.scaling.type': text('linear'),
      'rope.scaling.factor': float(factor ?? 1),
    }),
  };
}

const DECODER_LAYER = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  input_layernorm: 'attn_norm',
};

/** The form of decoders of Llama's kind. `context`: tokens that a text may have. */
export function decoderForm(
  architecture: string,
  c: DecoderConfig & { readonly max_position_embeddings: number },
  traits: DecoderTraits,
  path: string,
): GgufForm {
  const turned = architecture === 'llama';
  const rope = c.rope_parameters;
  refuseForm(rope.rope_type === 'llama3' && !turned, path, "a rotation scaled as Llama 3's");
  const after: Record<string, string> = traits.outputNorms
    ? {
        post_attention_layernorm: 'post_attention_norm',
        pre_feedforward_layernorm: 'ffn_norm',
        post_feedforward_layernorm: 'post_ffw_norm',
      }
    : { post_attention_layernorm: 'ffn_norm' };
  return {
    architecture,
    keys: {
      ...commonKeys(c),
      'attention.head_count_kv': uint(c.num_key_value_heads),
      'attention.layer_norm_rms_epsilon': float(c.rms_norm_eps),
      'attention.key_length': uint(c.head_dim),
      'attention.value_length': uint(c.head_dim),
      ...ropeKeys(c.head_dim, rope),
    },
    names: {
      stacks: [
        {
          ...{ layers: 'model.layers', blocks: 'blk', count: c.num_hidden_layers },
          inLayer: { ...DECODER_LAYER, ...after },
        },
      ],
      outside: { 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm', lm_head: 'output' },
    },
    orders: turned ? { attn_q: neighbours(c.head_dim), attn_k: neighbours(c.head_dim) } : {},
    factors: {},
    normOffset: traits.normOffset,
    ownHead: false,
    extra: rope.rope_type === 'llama3' ? { [ROPE_FACTORS]: ropeFactors(c.head_dim, rope) } : {},
    notes: [],
  };
}

/** By what llama.cpp divides the rotation's frequencies. */
function ropeFactors(dim: number, rope: RopeParameters): Float32Array {
  const plain = inverseFrequencies(dim, { rope_type: 'default', rope_theta: rope.rope_theta });
  const scaled = inverseFrequencies(dim, rope);
  return plain.map((f, i) => f / scaled[i]!);
}
