/**
 * The decoder of the Llama family: pre-norm blocks of grouped-query attention with rotary positions and a gated MLP. The files of
 * families (llama.ts, mistral.ts, qwen2.ts, qwen3.ts, gemma3_text.ts) say what differs, by traits.
 */

import type { Pass, AdapterPairs } from '../../ops/pass.js';
import type { Backend } from '../../backends/contract.js';
import type { GateActivation } from '../../backends/kernels.js';
import { rope } from '../../ops/attention.js';
import { embedding } from '../../ops/embedding.js';
import { gatedUnit } from '../../ops/gated-unit.js';
import { linear, linears, type LinearOptions } from '../../ops/linear.js';
import { rmsNorm, type RmsNorm } from '../../ops/norm.js';
import { pickRows } from '../../ops/rows.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CacheRoom, CausalLM, ModelConfig, ModelInput } from '../model.js';
import type { WeightLoader } from '../weights.js';
import { attendBefore } from './attend.js';
import { KvCache } from './cache.js';
import type { Embedding } from './embedding.js';
import { multiplyAdds, type Linear } from './linear.js';
import { RotaryTable, type RopeParameters } from './rotary.js';

/** What a Llama-like config.json says, names as there. */
export interface DecoderConfig extends ModelConfig {
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly rms_norm_eps: number;
  readonly rope_parameters: RopeParameters;
}

/** Where families differ. */
export interface DecoderTraits {
  /** Keys that a query of this layer sees; 0: all before it. */
  window(layer: number): number;
  readonly queryKeyValueBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** Norms over each head's queries and keys, before the rotation: `q_norm` and `k_norm`. */
  readonly headNorms: boolean;
  /** Norms of what attention and the MLP give, too, before it is added to what they were given. */
  readonly outputNorms: boolean;
  /** What norms add to their weights. */
  readonly normOffset: 0 | 1;
  /** What token embeddings are multiplied by, rounded to the table's type; 1: nothing. */
  readonly embeddingScale: number;
  /** What attention's scores are multiplied by. Absent: 1 / sqrt(head_dim). */
  readonly scoreScale?: number;
  readonly activation: GateActivation;
  /** The rotation of this layer, one object for each kind. Absent: `rope_parameters` for all. */
  rope?(layer: number): RopeParameters;
}

/** Llama's own. */
export const LLAMA: DecoderTraits = {
  window: () => 0,
  queryKeyValueBias: false,
  outputBias: false,
  mlpBias: false,
  headNorms: false,
  outputNorms: false,
  normOffset: 0,
  embeddingScale: 1,
  activation: 'silu',
};

interface Layer {
  readonly window: number;
  readonly rotary: RotaryTable;
  readonly inputNorm: RmsNorm;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly qNorm: RmsNorm | undefined;
  readonly kNorm: RmsNorm | undefined;
  readonly o: Linear;
  readonly attentionNorm: RmsNorm | undefined;
  readonly mlpInputNorm: RmsNorm;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly mlpNorm: RmsNorm | undefined;
}

interface Parts {
  readonly embed: Embedding;
  readonly layers: readonly Layer[];
  readonly norm: RmsNorm;
  readonly head: Linear;
}

export class Decoder implements CausalLM {
  readonly backend: Backend;
  readonly linears: ReadonlyMap<string, Linear>;
  readonly parameters: CausalLM['parameters'];
  readonly embedding: Embedding;
  readonly head: Linear;
  adapter: AdapterPairs | undefined;
  readonly weightBytes: number;
  readonly sourceConfig: Readonly<Record<string, unknown>>;
  readonly multiplyAddsPerToken: number;

  private constructor(
    readonly config: DecoderConfig,
    private readonly traits: DecoderTraits,
    private readonly weights: WeightLoader,
    private readonly parts: Parts,
  ) {
    this.backend = weights.backend;
    this.sourceConfig = weights.sourceConfig;
    this.embedding = parts.embed;
    this.head = parts.head;
    this.linears = weights.linears;
    this.parameters = weights.parameters;
    this.weightBytes = weights.bytes;
    this.multiplyAddsPerToken = multiplyAdds(this.linears.values());
  }

  /** Takes the weights out of the loader, in the order of the forward pass. */
  static async build(c: DecoderConfig, traits: DecoderTraits, weights: WeightLoader): Promise<Decoder> {
    const inner = c.num_attention_heads * c.head_dim;
    const kv = c.num_key_value_heads * c.head_dim;
    const qkv = { bias: traits.queryKeyValueBias };
    const mlp = { bias: traits.mlpBias };
    const norm = (name: string, dim = c.hidden_size): RmsNorm => ({
      weight: weights.norm(name, dim, 1 - traits.normOffset),
      weightOffset: traits.normOffset,
      eps: c.rms_norm_eps,
    });
    const rotaries = new Map<RopeParameters, RotaryTable>();
    const rotary = (parameters: RopeParameters): RotaryTable => {
      const table = rotaries.get(parameters) ?? new RotaryTable(weights.backend, c.head_dim, parameters);
      rotaries.set(parameters, table);
      return table;
    };
    const embed = weights.embedding('model.embed_tokens', c.vocab_size, c.hidden_size, traits.embeddingScale);
    const layers: Layer[] = [];
    for (let i = 0; i < c.num_hidden_layers; i++) {
      const at = `model.layers.${i}`;
      const attention = `${at}.self_attn`;
      layers.push({
        window: traits.window(i),
        rotary: rotary(traits.rope?.(i) ?? c.rope_parameters),
        inputNorm: norm(`${at}.input_layernorm`),
        q: await weights.linear(`${attention}.q_proj`, c.hidden_size, inner, qkv),
        k: await weights.linear(`${attention}.k_proj`, c.hidden_size, kv, qkv),
        v: await weights.linear(`${attention}.v_proj`, c.hidden_size, kv, qkv),
        qNorm: traits.headNorms ? norm(`${attention}.q_norm`, c.head_dim) : undefined,
        kNorm: traits.headNorms ? norm(`${attention}.k_norm`, c.head_dim) : undefined,
        o: await weights.linear(`${attention}.o_proj`, inner, c.hidden_size, { bias: traits.outputBias }),
        // The checkpoints' name of Llama's norm before the MLP is that of Gemma's behind attention.
        attentionNorm: traits.outputNorms ? norm(`${at}.post_attention_layernorm`) : undefined,
        mlpInputNorm: norm(
          `${at}.${traits.outputNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'}`,
        ),
        gate: await weights.linear(`${at}.mlp.gate_proj`, c.hidden_size, c.intermediate_size, mlp),
        up: await weights.linear(`${at}.mlp.up_proj`, c.hidden_size, c.intermediate_size, mlp),
        down: await weights.linear(`${at}.mlp.down_proj`, c.intermediate_size, c.hidden_size, mlp),
        mlpNorm: traits.outputNorms ? norm(`${at}.post_feedforward_layernorm`) : undefined,
      });
    }
    const lastNorm = norm('model.norm');
    const head = await weights.head('lm_head', embed, c.tie_word_embeddings);
    return new Decoder(c, traits, weights, { embed, layers, norm: lastNorm, head });
  }

  *pass(g: Pass, input: ModelInput): Generator<void, Tensor, void> {
    let x = embedding(g, input.ids, this.parts.embed, input.neftune);
    for (const [i, layer] of this.parts.layers.entries()) {
      const body = (x: Tensor): Tensor => this.layer(g, x, layer, i, input);
      const before = x;
      x = input.gradientCheckpointing ? g.checkpoint(before, body) : g.scope(() => body(before));
      yield;
    }
    return rmsNorm(g, x, this.parts.norm);
  }

  private layer(g: Pass, x: Tensor, l: Layer, index: number, input: ModelInput): Tensor {
    const path = input.path ?? 'tiles';
    let attended = this.attend(g, rmsNorm(g, x, l.inputNorm), l, index, input);
    if (input.wanted && index === this.parts.layers.length - 1) {
      attended = pickRows(g, attended, input.wanted);
      x = pickRows(g, x, input.wanted);
    }
    const h = addTo(g, x, attended, l.o, l.attentionNorm, { path });
    const n = rmsNorm(g, h, l.mlpInputNorm);
    const [gate, up] = linears(g, n, [l.gate, l.up], { path }) as [Tensor, Tensor];
    const gated = gatedUnit(g, gate, up, this.traits.activation);
    return addTo(g, h, gated, l.down, l.mlpNorm, { path, last: true });
  }

  private attend(g: Pass, x: Tensor, l: Layer, index: number, input: ModelInput): Tensor {
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = this.config;
    const { positions, path = 'tiles' } = input;
    const rotation = l.rotary.upTo(input.length);
    const [queries, keys, v] = linears(g, x, [l.q, l.k, l.v], { path }) as [Tensor, Tensor, Tensor];
    const q = rope(g, headNorm(g, queries, l.qNorm), positions, rotation, heads, headDim);
    const k = rope(g, headNorm(g, keys, l.kNorm), positions, rotation, kvHeads, headDim);
    const scale = this.traits.scoreScale ?? 1 / Math.sqrt(headDim);
    return attendBefore(g, { q, k, v }, index, input, { heads, kvHeads, headDim, scale, window: l.window });
  }

  createCache(slots: number, { capacity }: CacheRoom, precision: 'f32' | 'bf16' = 'f32'): KvCache {
    const { num_hidden_layers: layers, num_key_value_heads: kvHeads, head_dim: headDim } = this.config;
    return new KvCache(this.backend, { layers, slots, capacity, kvHeads, headDim }, precision);
  }

  dispose(): void {
    for (const { rotary } of this.parts.layers) rotary.dispose();
    this.weights.dispose();
  }
}

function headNorm(g: Pass, x: Tensor, norm: RmsNorm | undefined): Tensor {
  return norm ? rmsNorm(g, x, norm) : x;
}

/** residual + what `w` makes of x, normed where there is a norm for it. */
function addTo(
  g: Pass,
  residual: Tensor,
  x: Tensor,
  w: Linear,
  norm: RmsNorm | undefined,
  options: Pick<LinearOptions, 'path' | 'last'>,
): Tensor {
  if (!norm) return linear(g, x, w, { ...options, residual });
  // Its norm reads the product, also where the layer's own result is not wanted again.
  return rmsNorm(g, linear(g, x, w, { ...options, last: false }), norm, residual);
}
