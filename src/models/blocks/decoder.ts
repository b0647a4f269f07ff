/**
 * The decoder of the Llama family: pre-norm blocks of grouped-query attention with rotary positions and a gated MLP. The model files
 * (llama.ts, mistral.ts, qwen2.ts) say what differs: windows, biases, names.
 */

import type { Graph } from '../../autograd/graph.js';
import type { Parameter } from '../../autograd/parameter.js';
import type { Backend } from '../../backends/contract.js';
import { attention, attentionCached, rope } from '../../ops/attention.js';
import { embedding, type EmbeddingWeights } from '../../ops/embedding.js';
import { linear, linears } from '../../ops/linear.js';
import { rmsNorm } from '../../ops/norm.js';
import { pickRows } from '../../ops/rows.js';
import { swiglu } from '../../ops/swiglu.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CacheRoom, CausalLM, ModelConfig, ModelInput } from '../model.js';
import type { WeightLoader } from '../weights.js';
import { KvCache } from './cache.js';
import type { Linear } from './linear.js';
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
}

interface Layer {
  readonly window: number;
  readonly inputNorm: Parameter;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly postNorm: Parameter;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

interface Parts {
  readonly embed: EmbeddingWeights;
  readonly layers: readonly Layer[];
  readonly norm: Parameter;
  readonly head: Linear;
}

export class Decoder implements CausalLM {
  readonly backend: Backend;
  readonly linears: ReadonlyMap<string, Linear>;
  readonly parameters: readonly Parameter[];
  readonly head: Linear;
  readonly weightBytes: number;
  readonly sourceConfig: Readonly<Record<string, unknown>>;
  readonly multiplyAddsPerToken: number;
  private readonly rotary: RotaryTable;

  private constructor(
    readonly config: DecoderConfig,
    private readonly weights: WeightLoader,
    private readonly parts: Parts,
  ) {
    this.backend = weights.backend;
    this.sourceConfig = weights.sourceConfig;
    this.rotary = new RotaryTable(weights.backend, config.head_dim, config.rope_parameters);
    this.head = parts.head;
    this.linears = weights.linears;
    this.parameters = weights.parameters;
    this.weightBytes = weights.bytes;
    this.multiplyAddsPerToken = [...this.linears.values()].reduce(
      (n, l) => n + l.inFeatures * l.outFeatures,
      0,
    );
  }

  /** Takes the weights out of the loader, in the order of the forward pass. */
  static async build(c: DecoderConfig, traits: DecoderTraits, weights: WeightLoader): Promise<Decoder> {
    const inner = c.num_attention_heads * c.head_dim;
    const kv = c.num_key_value_heads * c.head_dim;
    const qkv = { bias: traits.queryKeyValueBias };
    const mlp = { bias: traits.mlpBias };
    const embed = weights.embedding('model.embed_tokens', c.vocab_size, c.hidden_size);
    const layers: Layer[] = [];
    for (let i = 0; i < c.num_hidden_layers; i++) {
      const at = `model.layers.${i}`;
      layers.push({
        window: traits.window(i),
        inputNorm: weights.norm(`${at}.input_layernorm`, c.hidden_size),
        q: await weights.linear(`${at}.self_attn.q_proj`, c.hidden_size, inner, qkv),
        k: await weights.linear(`${at}.self_attn.k_proj`, c.hidden_size, kv, qkv),
        v: await weights.linear(`${at}.self_attn.v_proj`, c.hidden_size, kv, qkv),
        o: await weights.linear(`${at}.self_attn.o_proj`, inner, c.hidden_size, { bias: traits.outputBias }),
        postNorm: weights.norm(`${at}.post_attention_layernorm`, c.hidden_size),
        gate: await weights.linear(`${at}.mlp.gate_proj`, c.hidden_size, c.intermediate_size, mlp),
        up: await weights.linear(`${at}.mlp.up_proj`, c.hidden_size, c.intermediate_size, mlp),
        down: await weights.linear(`${at}.mlp.down_proj`, c.intermediate_size, c.hidden_size, mlp),
      });
    }
    const norm = weights.norm('model.norm', c.hidden_size);
    const head = c.tie_word_embeddings
      ? weights.tiedHead('lm_head', embed)
      : await weights.linear('lm_head', c.hidden_size, c.vocab_size, { bias: false, head: true });
    return new Decoder(c, weights, { embed, layers, norm, head });
  }

  forward(g: Graph, input: ModelInput): Tensor {
    let x = embedding(g, input.ids, this.parts.embed, input.neftune);
    this.parts.layers.forEach((layer, i) => {
      const body = (x: Tensor): Tensor => this.layer(g, x, layer, i, input);
      const before = x;
      x = input.gradientCheckpointing ? g.checkpoint(before, body) : g.scope(() => body(before));
    });
    return rmsNorm(g, x, this.parts.norm, this.config.rms_norm_eps);
  }

  private layer(g: Graph, x: Tensor, l: Layer, index: number, input: ModelInput): Tensor {
    const eps = this.config.rms_norm_eps;
    const path = input.path ?? 'tiles';
    let attended = this.attend(g, rmsNorm(g, x, l.inputNorm, eps), l, index, input);
    if (input.wanted && index === this.parts.layers.length - 1) {
      attended = pickRows(g, attended, input.wanted);
      x = pickRows(g, x, input.wanted);
    }
    const h = linear(g, attended, l.o, { residual: x, path });
    const n = rmsNorm(g, h, l.postNorm, eps);
    const [gate, up] = linears(g, n, [l.gate, l.up], { path }) as [Tensor, Tensor];
    const gated = swiglu(g, gate, up);
    return linear(g, gated, l.down, { residual: h, path, last: true });
  }

  private attend(g: Graph, x: Tensor, l: Layer, index: number, input: ModelInput): Tensor {
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = this.config;
    const { positions, segments, cache, path = 'tiles' } = input;
    const rotation = this.rotary.upTo(input.length);
    const [queries, keys, v] = linears(g, x, [l.q, l.k, l.v], { path }) as [Tensor, Tensor, Tensor];
    const q = rope(g, queries, positions, rotation, heads, headDim);
    const k = rope(g, keys, positions, rotation, kvHeads, headDim);
    const scale = 1 / Math.sqrt(headDim);
    if (cache) {
      const { store, slotOf } = cache;
      const stored = store.write(g, index, k, v, { slotOf, positions });
      if (!segments)
        return attentionCached(g, q, stored, { slotOf, positions }, { heads, scale, window: l.window });
    }
    if (!segments) throw new Error('rows without segments need a cache to attend to');
    return attention(g, q, k, v, {
      batch: 1,
      length: positions.length,
      heads,
      kvHeads,
      headDim,
      scale,
      causal: true,
      window: l.window,
      segments,
    });
  }

  createCache(slots: number, { capacity }: CacheRoom, precision: 'f32' | 'bf16' = 'f32'): KvCache {
    const { num_hidden_layers: layers, num_key_value_heads: kvHeads, head_dim: headDim } = this.config;
    return new KvCache(this.backend, { layers, slots, capacity, kvHeads, headDim }, precision);
  }

  dispose(): void {
    this.rotary.dispose();
    this.weights.dispose();
  }
}
