/** A model's config.json out of a GGUF file's keys: what all architectures have; families say the rest (`Family.fromGguf`). */

import type { GgufFile, GgufValue } from '../files/index.js';
import { fromTensorType } from '../quant/ggml/index.js';
import { UserError } from '../util/errors.js';
import { inverseFrequencies, type RopeParameters } from './blocks/rotary.js';

export type Fields = Record<string, unknown>;

/** How a family's config.json is made of a file of one of llama.cpp's architectures. */
export interface FromGguf {
  /** `general.architecture`. */
  readonly architecture: string;
  config(facts: GgufFacts): Fields;
}

/** By what llama.cpp divides the rotation's frequencies, where they are scaled as Llama 3's. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** A file's keys below a name, by their types. */
export class GgufKeys {
  constructor(
    readonly file: GgufFile,
    private readonly below: string,
  ) {}

  fault(why: string): UserError {
    return new UserError(`${this.file.path}: ${why}`);
  }

  value(name: string): GgufValue | undefined {
    return this.file.metadata.get(`${this.below}.${name}`);
  }

  text(name: string): string | undefined {
    const value = this.value(name);
    return value?.type === 'string' ? value.value : undefined;
  }

  flag(name: string): boolean | undefined {
    const value = this.value(name);
    return value?.type === 'bool' ? value.value : undefined;
  }
}

/** A file's keys and tensors by their types; what is missing or of another type is a UserError. */
export class GgufFacts extends GgufKeys {
  constructor(
    file: GgufFile,
    readonly architecture: string,
  ) {
    super(file, architecture);
  }

  /** What is named goes with the architecture. */
  number(name: string): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    const { type, value: of } = value;
    if (type === 'float32') return shortest(of);
    if (typeof of === 'number' || typeof of === 'bigint') return Number(of);
    throw this.fault(`the key ${this.architecture}.${name} is no number`);
  }

  needed(name: string): number {
    const value = this.number(name);
    if (value !== undefined) return value;
    throw this.fault(`the key ${this.architecture}.${name} is missing`);
  }

  has(tensor: string): boolean {
    return this.file.tensors.has(tensor);
  }

  /** A small tensor's values. */
  values(tensor: string): Float32Array {
    return fromTensorType(this.file.info(tensor).type, this.file.read(tensor));
  }

  /** Throws UserError for what a key says that no family here has. */
  refuse(name: string, when: (value: number) => boolean, what: string): void {
    const value = this.number(name);
    if (value !== undefined && when(value))
      throw this.fault(`${this.architecture}.${name} is ${value}: ${what}, which is not read`);
  }
}

/** The decimal that people wrote where a file has its float32. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return value;
}

/** The fields that every family has. */
export function commonFields(f: GgufFacts): Fields {
  f.refuse('expert_count', (n) => n > 0, 'a mixture of experts');
  return {
    vocab_size: f.file.info('token_embd.weight').shape[0],
    hidden_size: f.needed('embedding_length'),
    num_hidden_layers: f.needed('block_count'),
    num_attention_heads: f.needed('attention.head_count'),
    max_position_embeddings: f.needed('context_length'),
    tie_word_embeddings: !f.has('output.weight'),
  };
}

/** Those of decoders of Llama's kind. */
export function decoderFields(f: GgufFacts): Fields {
  const heads = f.needed('attention.head_count');
  const headDim =
    f.number('attention.key_length') ??
    f.number('rope.dimension_count') ??
    f.needed('embedding_length') / heads;
  for (const name of ['attention.value_length', 'rope.dimension_count'])
    f.refuse(name, (n) => n !== headDim, `heads have ${headDim} elements`);
  return {
    ...commonFields(f),
    intermediate_size: f.needed('feed_forward_length'),
    num_key_value_heads: f.number('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    rms_norm_eps: f.needed('attention.layer_norm_rms_epsilon'),
    hidden_act: 'silu',
    ...ropeFields(f, headDim),
  };
}

/** `dim`: elements of a head that are turned. */
export function ropeFields(f: GgufFacts, dim: number): Fields {
  const rope_theta = f.number('rope.freq_base') ?? 10000;
  const type = f.text('rope.scaling.type') ?? 'none';
  const factor = f.number('rope.scaling.factor') ?? f.number('rope.scale_linear') ?? 1;
  if (f.has(ROPE_FACTORS)) return { rope_theta, rope_scaling: llama3Scaling(f, dim, rope_theta) };
  if (type === 'linear' || (type === 'none' && factor !== 1))
    return { rope_theta, rope_scaling: { rope_type: 'linear', factor } };
  if (type === 'none') return { rope_theta };
  throw f.fault(`its rotation is scaled by '${type}'; none, linear and Llama 3's are read`);
}

/** Contexts that a Llama 3 may have been trained on first. */
const CONTEXTS = Array.from({ length: 16 }, (_, i) => 2 ** (i + 5));

/** Llama 3's scaling, which a file holds as the factors that come of it. */
function llama3Scaling(f: GgufFacts, dim: number, rope_theta: number): RopeParameters {
  const factors = f.values(ROPE_FACTORS);
  const plain = inverseFrequencies(dim, { rope_type: 'default', rope_theta });
  const factor = shortest(factors.reduce((a, b) => Math.max(a, b), 1));
  for (const context of [8192, ...CONTEXTS]) {
    const rope: RopeParameters = {
      ...{ rope_type: 'llama3', rope_theta, factor },
      ...{ low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: context },
    };
    const scaled = inverseFrequencies(dim, rope);
    if (
      factors.length === plain.length &&
      factors.every((x, i) => Math.abs(plain[i]! / scaled[i]! - x) <= 1e-5 * x)
    )
      return rope;
  }
  throw f.fault(`the factors of its rotation (${ROPE_FACTORS}) are not those of a Llama 3`);
}
