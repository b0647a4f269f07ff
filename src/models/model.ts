/** What training, generation and adapters know of a model, whatever its architecture. */

import type { Pass, AdapterPairs } from '../ops/pass.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Neftune } from '../ops/embedding.js';
import type { Backend } from '../backends/contract.js';
import type { Tensor } from '../tensor/tensor.js';
import type { KvCache } from './blocks/cache.js';
import type { Embedding } from './blocks/embedding.js';
import type { Linear } from './blocks/linear.js';
import { atOnce } from '../util/turns.js';

/** Token rows to run. Sequences stand one behind the other without padding; what keeps them apart is `segments` or `slotOf`. */
export interface ModelInput {
  /** i32 [rows] */
  readonly ids: Tensor;
  /** i32 [rows]: each token's place in its own text. */
  readonly positions: Tensor;
  /** More than every position in the call. */
  readonly length: number;
  /**
   * i32 [rows]: rows attend within their segment. Absent: the rows continue sequences that stand in the cache already, and attend
   * there.
   */
  readonly segments?: Tensor;
  /** Keys and values are written to (and, without `segments`, read from) `slotOf[row]`, i32 [rows]. */
  readonly cache?: {
    readonly store: KvCache;
    readonly slotOf: Tensor;
    /** i32 [rows], of a model with an encoder: the place of the last row of the encoder's text, whose keys stand in the cache. */
    readonly encoderEnds?: Tensor;
  };
  /** What the encoder reads, of a model that has one. Absent: its keys and values stand in the cache. */
  readonly encoder?: EncoderInput;
  /** i32 [n]: hidden states are wanted of these rows alone, so that the last layer spares itself the others. For inference. */
  readonly wanted?: Tensor;
  /** How matrix products go (`GemmArgs.path`): 'rows' for decoding a token a sequence. */
  readonly path?: 'tiles' | 'rows';
  readonly gradientCheckpointing?: boolean;
  /** On the embeddings of what is read: the encoder's where there is one. */
  readonly neftune?: readonly Neftune[];
}

/** Texts for the encoder, one behind the other. */
export interface EncoderInput {
  /** i32 [its rows] */
  readonly ids: Tensor;
  /** i32 [its rows]: the decoder's rows of a segment read the encoder's rows of the same number. */
  readonly segments: Tensor;
  /** i32 [its rows] each: the slot, and the place in it, to which the keys and values of the decoder's layers are written. */
  readonly cache?: { readonly slotOf: Tensor; readonly positions: Tensor };
}

/** The fields of config.json that everybody reads; named as Hugging Face names them. */
export interface ModelConfig {
  readonly model_type: string;
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly max_position_embeddings: number;
  readonly tie_word_embeddings: boolean;
  /** Of a model with an encoder, which reads the prompt: the token that its decoder's text begins with. */
  readonly decoder_start_token_id?: number;
}

/** Whether what a model reads is its encoder's text, and what it writes its decoder's. */
export function readsByEncoder({ config }: Pick<CausalLM, 'config'>): boolean {
  return config.decoder_start_token_id !== undefined;
}

/** Whether the output head is the embedding's table, whatever config.json says: a checkpoint may have one beside it. */
export function isTied({ embedding, head }: Pick<CausalLM, 'embedding' | 'head'>): boolean {
  return head.parameter === embedding.parameter;
}

/** How many tokens of a sequence a slot of the cache has room for. */
export interface CacheRoom {
  readonly capacity: number;
  /** Of a model with an encoder: of the encoder's text. */
  readonly encoder?: number;
}

/** All of `model.pass` at once. */
export function forward(model: CausalLM, g: Pass, input: ModelInput): Tensor {
  return atOnce(model.pass(g, input));
}

/** A model that is loaded: what training, generation, adapters and saving know of any architecture. `dispose` frees its memory. */
export interface CausalLM {
  readonly backend: Backend;
  readonly config: ModelConfig;
  /** The config.json that it came from, whole: what a merged or trained checkpoint carries along. */
  readonly sourceConfig: Readonly<Record<string, unknown>>;
  /** Every Linear by its Hugging Face name, in the order of the forward pass; the output head last. */
  readonly linears: ReadonlyMap<string, Linear>;
  /** Every array of the checkpoint that is not quantized, a tied one once: what full training trains. */
  readonly parameters: readonly Parameter[];
  readonly embedding: Embedding;
  readonly head: Linear;
  /** What is attached: the adapter of calls that begin from now on and name none. */
  adapter: AdapterPairs | undefined;
  /** Bytes of weights held. */
  readonly weightBytes: number;
  /**
   * Hidden states [rows, hidden_size], or those `wanted`, after the last norm: the head's input. Asked for layer by layer: whoever asks may
   * do something else in between (util/turns.ts).
   */
  pass(g: Pass, input: ModelInput): Generator<void, Tensor, void>;
  /** Keys and values have the type of activations in this precision. */
  createCache(slots: number, room: CacheRoom, precision?: 'f32' | 'bf16'): KvCache;
  /** Multiply-adds of one token's forward pass in matrix products, the head's included: for rates and plans. */
  readonly multiplyAddsPerToken: number;
  /** The same of a token of the encoder's, where there is one. */
  readonly multiplyAddsPerEncoderToken?: number;
  dispose(): void;
}
