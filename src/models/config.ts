/** Reading config.json: transformers 4 wrote `rope_theta`, `rope_scaling` and `torch_dtype`, transformers 5 `rope_parameters` and `dtype`. */

import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { Activation } from '../backends/kernels.js';
import { UserError } from '../util/errors.js';
import { readJsonObject } from '../util/json.js';
import type { RopeParameters } from './blocks/rotary.js';
import type { DecoderConfig } from './blocks/decoder.js';

const size = z
  .int()
  .positive()
  .max(1 << 24);
const finite = z.number().positive();

export const ropeSchema = z.object({
  rope_type: z.string().optional(),
  /** transformers before 4.43 */
  type: z.string().optional(),
  rope_theta: finite.optional(),
  factor: finite.optional(),
  low_freq_factor: finite.optional(),
  high_freq_factor: finite.optional(),
  original_max_position_embeddings: size.optional(),
  /** The share of a head that is turned, of families that turn a part. */
  partial_rotary_factor: z.number().positive().max(1).optional(),
});

/** The fields that every Llama-like family has. */
export const decoderSchema = z.object({
  model_type: z.string(),
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: z.int().positive().max(4096),
  num_attention_heads: z.int().positive().max(4096),
  num_key_value_heads: z.int().positive().max(4096).nullish(),
  head_dim: z.int().positive().max(1024).nullish(),
  max_position_embeddings: size,
  rms_norm_eps: finite,
  hidden_act: z.literal('silu'),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: finite.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  sliding_window: z.int().positive().nullish(),
});

/** The fields that GPT-NeoX and Falcon have in common. */
export const fusedSchema = z.object({
  model_type: z.string(),
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: z.int().positive().max(4096),
  num_attention_heads: z.int().positive().max(4096),
  /** Falcon-7B's says nothing of it. */
  max_position_embeddings: size.default(2048),
  rope_theta: finite.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
});

interface HeadFields {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly head_dim?: number | null | undefined;
}

/** Where none is given, heads share hidden_size. */
export function headSize(c: HeadFields, path: string): number {
  const dim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  if (Number.isInteger(dim) && dim % 2 === 0) return dim;
  throw new UserError(
    `${path}: a head's size must be an even whole number, but hidden_size / num_attention_heads is ${dim}`,
  );
}

/** transformers' names of GELU. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
};

/** The activation that the config's `field` names. */
export function activationOf(name: string, field: string, path: string): Activation {
  if (Object.hasOwn(ACTIVATIONS, name)) return ACTIVATIONS[name]!;
  throw new UserError(
    `${path}: ${field} '${name}' is not supported; Westwind knows ${Object.keys(ACTIVATIONS).join(', ')} in this family`,
  );
}

/** The token that a decoder's text begins with, of a config.json that tells of an encoder before it. */
export function decoderStart(config: Readonly<Record<string, unknown>>): number | undefined {
  const id = config['decoder_start_token_id'] ?? 0;
  return config['is_encoder_decoder'] === true && Number.isInteger(id) ? (id as number) : undefined;
}

/** Validates with `schema`; a fault names the file and the field. */
export function parseFields<S extends z.ZodType>(schema: S, json: unknown, path: string): z.infer<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new UserError(`${path}: ${issue.path.join('.') || 'the file'}: ${issue.message}`);
}

/** transformers' names of layers without a window and with one. */
export const layerTypesSchema = z.array(z.enum(['full_attention', 'sliding_attention'])).nullish();

type LayerTypes = readonly ('full_attention' | 'sliding_attention')[];

/** The type of every layer; older files have none, and say by another rule which `slides`. */
export function layerTypes(
  c: { readonly num_hidden_layers: number; readonly layer_types?: LayerTypes | null | undefined },
  path: string,
  slides: (layer: number) => boolean,
): LayerTypes {
  const { num_hidden_layers: layers, layer_types: given } = c;
  if (!given)
    return Array.from({ length: layers }, (_, i) => (slides(i) ? 'sliding_attention' : 'full_attention'));
  if (given.length !== layers)
    throw new UserError(
      `${path}: layer_types names ${given.length} layers, but num_hidden_layers is ${layers}`,
    );
  return given;
}

type DecoderFields = Omit<z.infer<typeof decoderSchema>, 'hidden_act'>;

/** The common part of a Llama-like config; the rotation is that of layers to which their family gives no other. */
export function decoderConfig(c: DecoderFields, path: string): DecoderConfig {
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  if (c.num_attention_heads % kvHeads !== 0) {
    throw new UserError(
      `${path}: num_attention_heads (${c.num_attention_heads}) is not a multiple of num_key_value_heads (${kvHeads})`,
    );
  }
  const headDim = headSize(c, path);
  return {
    model_type: c.model_type,
    vocab_size: c.vocab_size,
    hidden_size: c.hidden_size,
    intermediate_size: c.intermediate_size,
    num_hidden_layers: c.num_hidden_layers,
    num_attention_heads: c.num_attention_heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    max_position_embeddings: c.max_position_embeddings,
    rms_norm_eps: c.rms_norm_eps,
    tie_word_embeddings: c.tie_word_embeddings,
    rope_parameters: ropeParameters(c.rope_parameters ?? c.rope_scaling, c.rope_theta ?? 10000),
  };
}

/** `theta`: where the parameters name none. */
export function ropeParameters(
  given: z.infer<typeof ropeSchema> | null | undefined,
  theta: number,
): RopeParameters {
  const { rope_type, type, rope_theta, ...rest } = given ?? {};
  return { ...rest, rope_type: rope_type ?? type ?? 'default', rope_theta: rope_theta ?? theta };
}

/** A file of a model or adapter folder. */
export function readModelJson(path: string): Record<string, unknown> {
  if (!existsSync(path))
    throw new UserError(`${path} does not exist; a model folder in Hugging Face's layout has one`);
  return readJsonObject(path);
}
