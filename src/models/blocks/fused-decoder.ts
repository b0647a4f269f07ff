/**
 * The decoder of GPT-NeoX (arXiv:2204.06745) and Falcon (arXiv:2311.16867): one fused product for queries, keys and values, LayerNorm, an
 * MLP without a gate, and both of a layer's halves one behind the other or side by side. The files of families say which.
 */

import type { Pass, AdapterPairs } from '../../ops/pass.js';
import type { Backend } from '../../backends/contract.js';
import type { Activation } from '../../backends/kernels.js';
import { activate } from '../../ops/activation.js';
import { rope } from '../../ops/attention.js';
import { splitBlocks } from '../../ops/blocks.js';
import { embedding } from '../../ops/embedding.js';
import { linear, linears } from '../../ops/linear.js';
import { layerNorm, type LayerNorm } from '../../ops/norm.js';
import { pickRows } from '../../ops/rows.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CacheRoom, CausalLM, ModelConfig, ModelInput } from '../model.js';
import type { WeightLoader } from '../weights.js';
import { AlibiTable } from './alibi.js';
import { attendBefore } from './attend.js';
import { KvCache } from './cache.js';
import type { Embedding } from './embedding.js';
import { FusedHeads, type HeadGroups } from './fused-heads.js';
import { multiplyAdds, type Linear } from './linear.js';
import { RotaryTable, type RopeParameters } from './rotary.js';

/** What both families' config.json say, each in its own words. */
export interface FusedConfig extends ModelConfig {
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly layer_norm_eps: number;
}

/** Where families and their members differ. */
export interface FusedTraits {
  readonly heads: HeadGroups;
  /** The MLP reads what attention reads, not what it adds to. */
  readonly parallel: boolean;
  readonly activation: Activation;
  /** Turned positions, of the first `dim` elements of a head; absent: ALiBi. */
  readonly rotary: { readonly dim: number; readonly parameters: RopeParameters } | undefined;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly names: {
    readonly embedding: string;
    readonly layers: string;
    readonly attention: string;
    /** The norm before attention, and the MLP's, which may be the same where both are side by side. */
    readonly norms: readonly [string, string?];
    readonly lastNorm: string;
    readonly head: string;
  };
}

/** What its Linears are called, in the place of the common names. */
export const FUSED_MODULES = {
  ...{ q_proj: 'query_key_value', k_proj: 'query_key_value', v_proj: 'query_key_value', o_proj: 'dense' },
  ...{ up_proj: 'dense_h_to_4h', down_proj: 'dense_4h_to_h' },
} as const;

interface Layer {
  readonly norm: LayerNorm;
  readonly queryKeyValue: Linear;
  readonly dense: Linear;
  /** Absent: the other one's rows. */
  readonly mlpNorm: LayerNorm | undefined;
  readonly up: Linear;
  readonly down: Linear;
}

interface Parts {
  readonly embed: Embedding;
  readonly layers: readonly Layer[];
  readonly norm: LayerNorm;
  readonly head: Linear;
}

export class FusedDecoder implements CausalLM {
  readonly backend: Backend;
  readonly linears: ReadonlyMap<string, Linear>;
  readonly parameters: CausalLM['parameters'];
  readonly embedding: Embedding;
  readonly head: Linear;
  adapter: AdapterPairs | undefined;
  readonly weightBytes: number;
  readonly sourceConfig: Readonly<Record<string, unknown>>;
  readonly multiplyAddsPerToken: number;
  private readonly headDim: number;
  private readonly scale: number;
  private readonly heads: FusedHeads;
  private readonly rotary: RotaryTable | undefined;
  private readonly alibi: AlibiTable | undefined;

  private constructor(
    readonly config: FusedConfig,
    private readonly traits: FusedTraits,
    private readonly weights: WeightLoader,
    private readonly parts: Parts,
  ) {
    const { backend } = weights;
    const { rotary } = traits;
    this.backend = backend;
    this.sourceConfig = weights.sourceConfig;
    this.embedding = parts.embed;
    this.head = parts.head;
    this.linears = weights.linears;
    this.parameters = weights.parameters;
    this.weightBytes = weights.bytes;
    this.multiplyAddsPerToken = multiplyAdds(this.linears.values());
    this.headDim = config.hidden_size / config.num_attention_heads;
    this.scale = 1 / Math.sqrt(this.headDim);
    this.heads = new FusedHeads(backend, traits.heads);
    this.rotary = rotary && new RotaryTable(backend, rotary.dim, rotary.parameters);
    this.alibi = rotary ? undefined : new AlibiTable(backend, config.num_attention_heads, this.scale);
  }

  /** Takes the weights out of the loader, in the order of the forward pass. */
  static async build(c: FusedConfig, traits: FusedTraits, weights: WeightLoader): Promise<FusedDecoder> {
    const { names, heads } = traits;
    const [before, beforeMlp] = names.norms;
    const hidden = c.hidden_size;
    const fused = heads.groups * (heads.queriesPerGroup + 2) * (hidden / c.num_attention_heads);
    const attention = { bias: traits.attentionBias };
    const mlp = { bias: traits.mlpBias };
    const norm = (name: string): LayerNorm => weights.layerNorm(name, hidden, c.layer_norm_eps);
    const embed = weights.embedding(names.embedding, c.vocab_size, hidden);
    const layers: Layer[] = [];
    for (let i = 0; i < c.num_hidden_layers; i++) {
      const at = `${names.layers}.${i}`;
      layers.push({
        norm: norm(`${at}.${before}`),
        queryKeyValue: await weights.linear(
          `${at}.${names.attention}.query_key_value`,
          hidden,
          fused,
          attention,
        ),
        dense: await weights.linear(`${at}.${names.attention}.dense`, hidden, hidden, attention),
        mlpNorm: beforeMlp === undefined ? undefined : norm(`${at}.${beforeMlp}`),
        up: await weights.linear(`${at}.mlp.dense_h_to_4h`, hidden, c.intermediate_size, mlp),
        down: await weights.linear(`${at}.mlp.dense_4h_to_h`, c.intermediate_size, hidden, mlp),
      });
    }
    const lastNorm = norm(names.lastNorm);
    const head = await weights.head(names.head, embed, c.tie_word_embeddings);
    return new FusedDecoder(c, traits, weights, { embed, layers, norm: lastNorm, head });
  }

  *pass(g: Pass, input: ModelInput): Generator<void, Tensor, void> {
    let x = embedding(g, input.ids, this.parts.embed, input.neftune);
    for (const [i, layer] of this.parts.layers.entries()) {
      const body = (x: Tensor): Tensor => this.layer(g, x, layer, i, input);
      const before = x;
      x = input.gradientCheckpointing ? g.checkpoint(before, body) : g.scope(() => body(before));
      yield;
    }
    return layerNorm(g, x, this.parts.norm);
  }

  private layer(g: Pass, x: Tensor, l: Layer, index: number, input: ModelInput): Tensor {
    const { path = 'tiles' } = input;
    const wanted = index === this.parts.layers.length - 1 ? input.wanted : undefined;
    const pick = (t: Tensor): Tensor => (wanted ? pickRows(g, t, wanted) : t);
    const n = layerNorm(g, x, l.norm);
    // What reads the same rows goes through at once, unless most of them are left out behind attention.
    const [fused, together] = linears(
      g,
      n,
      l.mlpNorm || wanted ? [l.queryKeyValue] : [l.queryKeyValue, l.up],
      { path },
    );
    const attended = pick(this.attend(g, fused!, index, input));
    const residual = pick(x);
    const h = linear(g, attended, l.dense, { residual, path });
    const up =
      together ??
      linear(g, l.mlpNorm ? layerNorm(g, this.traits.parallel ? residual : h, l.mlpNorm) : pick(n), l.up, {
        path,
      });
    return linear(g, activate(g, up, this.traits.activation), l.down, { residual: h, path, last: true });
  }

  private attend(g: Pass, fused: Tensor, index: number, input: ModelInput): Tensor {
    const { headDim, scale } = this;
    const { heads, kvHeads } = this.heads;
    const rotation = this.rotary?.upTo(input.length);
    const turned = (x: Tensor, heads: number): Tensor =>
      rotation ? rope(g, x, input.positions, rotation, heads, headDim) : x;
    const parts = this.heads.upTo(input.positions.length);
    const [queries, keys, v] = splitBlocks(g, fused, parts, headDim) as [Tensor, Tensor, Tensor];
    const [q, k] = [turned(queries, heads), turned(keys, kvHeads)];
    const shape = { heads, kvHeads, headDim, scale, window: 0 };
    return attendBefore(g, { q, k, v }, index, input, shape, this.alibi?.upTo(input.length));
  }

  createCache(slots: number, { capacity }: CacheRoom, precision: 'f32' | 'bf16' = 'f32'): KvCache {
    // A step that is recorded may upload nothing.
    this.heads.upTo(slots);
    const { kvHeads } = this.heads;
    const shape = { layers: this.config.num_hidden_layers, slots, capacity, kvHeads, headDim: this.headDim };
    return new KvCache(this.backend, shape, precision);
  }

  dispose(): void {
    for (const table of [this.heads, this.rotary, this.alibi]) table?.dispose();
    this.weights.dispose();
  }
}
