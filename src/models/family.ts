/** What the rest of the program must know of an architecture, and only its own file in families/ knows. */

import type { z } from 'zod';
import { parseFields } from './config.js';
import type { GgufForm } from './gguf.js';
import type { FromGguf } from './gguf-facts.js';
import type { CausalLM } from './model.js';
import type { WeightLoader } from './weights.js';

/** The Linears of most decoders: `target_modules` are given by these names, whatever a family calls its own. */
export type CommonModule = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj' | 'gate_proj' | 'up_proj' | 'down_proj';

/** What a benchmark runs: a model's config.json, with random weights in the place of a checkpoint. */
export interface BenchShape extends BenchRows {
  readonly config: Readonly<Record<string, unknown>>;
}

interface BenchRows {
  /** Sequences a step, and their length. */
  readonly batch: number;
  readonly length: number;
  /** Of a model with an encoder, which reads `length` tokens: what its decoder writes. */
  readonly decoderLength?: number;
}

interface FamilyFacts {
  /** Its own names where they differ from the common ones. */
  readonly modules: Readonly<Partial<Record<CommonModule, string>>>;
  /** The end of its embedding's name. */
  readonly embedding: string;
  /** Modules under whose names, too, its checkpoints may have the embedding's table. */
  readonly embeddingAliases: readonly string[];
  /** What kind of model PEFT calls it. */
  readonly taskType: 'CAUSAL_LM' | 'SEQ_2_SEQ_LM';
  /** Beside `tie_word_embeddings: false`, what tells of the same model when its head is no longer the embedding's table. */
  untied(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** What benchmarks know by a name. */
  readonly shapes: Readonly<Record<string, BenchShape>>;
  /** For a benchmark of a folder's model whose texts may have `context` tokens. */
  benchRows(context: number): BenchRows;
  /** How a GGUF file of its architecture is read. Absent: as another family's, or not. */
  readonly fromGguf: FromGguf | undefined;
}

/** An architecture. Whatever reads a config.json throws UserError that names `path` and the field. */
export interface Family extends FamilyFacts {
  /** Takes the model's weights out of the loader, in the order of the forward pass. */
  build(config: unknown, path: string, weights: WeightLoader): Promise<CausalLM>;
  /** Tokens that a text may have: known before the model is built. */
  contextLength(config: unknown, path: string): number;
  /** Its form in GGUF files. Throws UserError where llama.cpp has no such model. */
  gguf(config: unknown, path: string): GgufForm;
}

/** What a family's file says; what is left out is as most decoders have it. */
interface FamilyFile<S extends z.ZodType> extends Partial<FamilyFacts> {
  /** The fields of config.json that it reads. */
  readonly schema: S;
  build(config: z.infer<S>, path: string, weights: WeightLoader): Promise<CausalLM>;
  contextLength(config: z.infer<S>): number;
  gguf(config: z.infer<S>, path: string): GgufForm;
}

const MOST_DECODERS: FamilyFacts = {
  modules: {},
  embedding: 'embed_tokens',
  embeddingAliases: [],
  taskType: 'CAUSAL_LM',
  untied: () => ({}),
  shapes: {},
  benchRows: (context) => ({ batch: 4, length: Math.min(512, context) }),
  fromGguf: undefined,
};

export function defineFamily<S extends z.ZodType>({ schema, ...file }: FamilyFile<S>): Family {
  return {
    ...MOST_DECODERS,
    ...file,
    build: (json, path, weights) => file.build(parseFields(schema, json, path), path, weights),
    contextLength: (json, path) => file.contextLength(parseFields(schema, json, path)),
    gguf: (json, path) => file.gguf(parseFields(schema, json, path), path),
  };
}
