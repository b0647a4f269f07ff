/**
 * T5's encoder and decoder (arXiv:1910.10683): pre-norm blocks without biases; in place of positions a learnt bias by the distance of query
 * and key, which a stack's layers share; scores that are not scaled. A decoder's layer attends to its own text, then to the encoder's,
 * whose keys and values a sequence's cache holds from its first row on.
 */

import type { Pass, AdapterPairs } from '../../ops/pass.js';
import type { Parameter } from '../../autograd/parameter.js';
import type { Backend } from '../../backends/contract.js';
import type { AttentionShape } from '../../backends/kernels.js';
import { attention, attentionCached, crossAttention } from '../../ops/attention.js';
import { activate } from '../../ops/activation.js';
import { embedding, type EmbeddingWeights } from '../../ops/embedding.js';
import { gatedUnit } from '../../ops/gated-unit.js';
import { linear, linears } from '../../ops/linear.js';
import { rmsNorm, type RmsNorm } from '../../ops/norm.js';
import { relativeBias, relativePlaces, relativeReach } from '../../ops/relative-bias.js';
import { pickRows, scaleRows } from '../../ops/rows.js';
import { Tensor } from '../../tensor/tensor.js';
import type { CacheRoom, CausalLM, EncoderInput, ModelConfig, ModelInput } from '../model.js';
import type { WeightLoader } from '../weights.js';
import { attendBefore, type AttendShape } from './attend.js';
import { KvCache } from './cache.js';
import type { Embedding } from './embedding.js';
import { multiplyAdds, type Linear } from './linear.js';

export interface EncoderDecoderConfig extends ModelConfig {
  readonly intermediate_size: number;
  readonly num_encoder_layers: number;
  readonly num_decoder_layers: number;
  readonly num_attention_heads: number;
  readonly head_dim: number;
  readonly rms_norm_eps: number;
  readonly decoder_start_token_id: number;
  /** Rows of the tables of biases, and the distance from which on all share one. */
  readonly num_buckets: number;
  readonly max_distance: number;
  /** gelu_tanh(wi_0·x) · wi_1·x in the place of relu(wi·x). */
  readonly gated: boolean;
  /** Before the head. */
  readonly head_scale: number;
}

interface Attention {
  readonly norm: RmsNorm;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
}

interface Mlp {
  readonly norm: RmsNorm;
  /** wi, or wi_0 and wi_1. */
  readonly inner: readonly Linear[];
  readonly outer: Linear;
}

interface Layer {
  readonly self: Attention;
  /** The decoder's. */
  readonly across?: Attention;
  readonly mlp: Mlp;
}

interface Stack {
  readonly layers: readonly Layer[];
  /** f32 [buckets, heads] */
  readonly biases: Omit<EmbeddingWeights, 'scale'>;
  readonly norm: RmsNorm;
}

interface Parts {
  readonly embed: Embedding;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: Linear;
}

/** Rows of one of the two texts, and how they go. */
interface Rows {
  readonly segments?: Tensor | undefined;
  /** f32 [heads, 2 * reach - 1], by distance. */
  readonly bias: Tensor;
  readonly options: { readonly path: 'tiles' | 'rows'; readonly encoder?: boolean };
}

export class EncoderDecoder implements CausalLM {
  readonly backend: Backend;
  readonly linears: ReadonlyMap<string, Linear>;
  readonly parameters: readonly Parameter[];
  readonly embedding: Embedding;
  readonly head: Linear;
  adapter: AdapterPairs | undefined;
  readonly weightBytes: number;
  readonly sourceConfig: Readonly<Record<string, unknown>>;
  readonly multiplyAddsPerToken: number;
  readonly multiplyAddsPerEncoderToken: number;
  /** Where a stack's bias by distance stands in its table. */
  private readonly places: Readonly<Record<'encoder' | 'decoder', Tensor>>;

  private constructor(
    readonly config: EncoderDecoderConfig,
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
    const placesOf = (bidirectional: boolean): Tensor => {
      const buckets = { ...config, bidirectional };
      const reach = relativeReach(Infinity, buckets);
      return Tensor.from(this.backend, relativePlaces(buckets, config.num_attention_heads, reach));
    };
    this.places = { encoder: placesOf(true), decoder: placesOf(false) };
    const ofEncoder = new Set(
      parts.decoder.layers.flatMap(({ across }) => [across!.k, across!.v].map(({ name }) => name)),
    );
    const read = [...this.linears.values()].filter(
      ({ name }) => name.startsWith('encoder.') || ofEncoder.has(name),
    );
    this.multiplyAddsPerEncoderToken = multiplyAdds(read);
    this.multiplyAddsPerToken = multiplyAdds(this.linears.values()) - this.multiplyAddsPerEncoderToken;
  }

  /** Takes the weights out of the loader, in the order of the forward pass. */
  static async build(c: EncoderDecoderConfig, weights: WeightLoader): Promise<EncoderDecoder> {
    const embed = weights.embedding('shared', c.vocab_size, c.hidden_size);
    const encoder = await stackOf('encoder', c.num_encoder_layers, c, weights);
    const decoder = await stackOf('decoder', c.num_decoder_layers, c, weights);
    const head = await weights.head('lm_head', embed, c.tie_word_embeddings);
    return new EncoderDecoder(c, weights, { embed, encoder, decoder, head });
  }

  *pass(g: Pass, input: ModelInput): Generator<void, Tensor, void> {
    const { embed, decoder } = this.parts;
    const encoded = input.encoder && (yield* this.encode(g, input.encoder, input));
    const rows: Rows = {
      segments: input.segments,
      bias: relativeBias(g, decoder.biases, this.places.decoder),
      options: { path: input.path ?? 'tiles' },
    };
    let x = embedding(g, input.ids, embed);
    for (const [i, layer] of decoder.layers.entries()) {
      const body = (x: Tensor): Tensor => {
        const own = this.selfAttention(g, x, layer.self, rows, { input, index: i });
        const both = this.crossAttention(g, own, layer.across!, rows, { input, index: i, encoded });
        return this.mlp(g, both, layer.mlp, rows);
      };
      x = this.run(g, x, body, input, encoded ? [rows.bias, encoded] : [rows.bias]);
      yield;
    }
    if (input.wanted) x = pickRows(g, x, input.wanted);
    return scaleRows(g, rmsNorm(g, x, decoder.norm), this.config.head_scale);
  }

  /** The encoder's text as its last norm leaves it, [its rows, hidden_size]. */
  private *encode(
    g: Pass,
    { ids, segments }: EncoderInput,
    input: ModelInput,
  ): Generator<void, Tensor, void> {
    const { embed, encoder } = this.parts;
    const bias = relativeBias(g, encoder.biases, this.places.encoder);
    const rows: Rows = { segments, bias, options: { path: 'tiles', encoder: true } };
    let x = embedding(g, ids, embed, input.neftune, true);
    for (const layer of encoder.layers) {
      const body = (x: Tensor): Tensor =>
        this.mlp(g, this.selfAttention(g, x, layer.self, rows), layer.mlp, rows);
      x = this.run(g, x, body, input, [bias]);
      yield;
    }
    return rmsNorm(g, x, encoder.norm);
  }

  private run(
    g: Pass,
    x: Tensor,
    body: (x: Tensor) => Tensor,
    { gradientCheckpointing }: ModelInput,
    shared: readonly Tensor[],
  ): Tensor {
    return gradientCheckpointing ? g.checkpoint(x, body, shared) : g.scope(() => body(x));
  }

  /** x + the attention of its rows to their own text, in the decoder to what stands before them. */
  private selfAttention(
    g: Pass,
    x: Tensor,
    a: Attention,
    { segments, bias, options }: Rows,
    decoder?: { readonly input: ModelInput; readonly index: number },
  ): Tensor {
    const n = rmsNorm(g, x, a.norm);
    const [q, k, v] = linears(g, n, [a.q, a.k, a.v], options) as [Tensor, Tensor, Tensor];
    const attended = decoder
      ? attendBefore(g, { q, k, v }, decoder.index, decoder.input, { ...this.shape, window: 0 }, bias)
      : attention(
          g,
          q,
          k,
          v,
          { ...this.shapeOf(x), segments: segments!, window: 0, causal: false },
          { bias, encoder: true },
        );
    return linear(g, attended, a.o, { residual: x, ...options });
  }

  /** x + the attention of its rows to the encoder's text, `encoded` or in the cache. */
  private crossAttention(
    g: Pass,
    x: Tensor,
    a: Attention,
    { segments, options }: Rows,
    { input, index, encoded }: { input: ModelInput; index: number; encoded: Tensor | undefined },
  ): Tensor {
    const { cache, encoder } = input;
    const q = linear(g, rmsNorm(g, x, a.norm), a.q, options);
    const across = cache?.store.across;
    let attended: Tensor;
    if (encoded && encoder && segments) {
      const [k, v] = linears(g, encoded, [a.k, a.v], { encoder: true }) as [Tensor, Tensor];
      if (encoder.cache) across!.write(g, index, k, v, encoder.cache);
      const keys = { length: encoder.ids.length, segments: encoder.segments };
      attended = crossAttention(g, q, k, v, { ...this.shapeOf(x), segments, keys });
    } else {
      if (!across || !cache.encoderEnds)
        throw new Error("rows without an encoder's text need a cache that holds it");
      const at = { slotOf: cache.slotOf, positions: cache.encoderEnds };
      attended = attentionCached(g, q, across.layer(index), at, { ...this.shape, window: 0 });
    }
    return linear(g, attended, a.o, { residual: x, ...options });
  }

  private mlp(g: Pass, x: Tensor, { norm, inner, outer }: Mlp, { options }: Rows): Tensor {
    const n = rmsNorm(g, x, norm);
    const [first, second] = linears(g, n, inner, options) as [Tensor, Tensor?];
    const active = second ? gatedUnit(g, first, second, 'gelu_tanh') : activate(g, first, 'relu');
    return linear(g, active, outer, { residual: x, ...options, last: true });
  }

  private get shape(): Omit<AttendShape, 'window'> {
    const { num_attention_heads: heads, head_dim: headDim } = this.config;
    return { heads, kvHeads: heads, headDim, scale: 1 };
  }

  private shapeOf(x: Tensor): Omit<AttentionShape, 'causal' | 'window' | 'segments'> {
    return { ...this.shape, batch: 1, length: x.length / this.config.hidden_size };
  }

  createCache(
    slots: number,
    { capacity, encoder = capacity }: CacheRoom,
    precision: 'f32' | 'bf16' = 'f32',
  ): KvCache {
    const { num_decoder_layers: layers, num_attention_heads: kvHeads, head_dim: headDim } = this.config;
    const shape = { layers, slots, kvHeads, headDim };
    const across = new KvCache(this.backend, { ...shape, capacity: encoder }, precision);
    return new KvCache(this.backend, { ...shape, capacity }, precision, across);
  }

  dispose(): void {
    this.places.encoder.release();
    this.places.decoder.release();
    this.weights.dispose();
  }
}

async function stackOf(
  name: 'encoder' | 'decoder',
  count: number,
  c: EncoderDecoderConfig,
  weights: WeightLoader,
): Promise<Stack> {
  const inner = c.num_attention_heads * c.head_dim;
  const plain = { bias: false };
  const normOf = (at: string): RmsNorm => {
    const weight = weights.norm(at, c.hidden_size, 1);
    return { weight, weightOffset: 0, eps: c.rms_norm_eps };
  };
  const attentionOf = async (at: string, kind: string): Promise<Attention> => ({
    norm: normOf(`${at}.layer_norm`),
    q: await weights.linear(`${at}.${kind}.q`, c.hidden_size, inner, plain),
    k: await weights.linear(`${at}.${kind}.k`, c.hidden_size, inner, plain),
    v: await weights.linear(`${at}.${kind}.v`, c.hidden_size, inner, plain),
    o: await weights.linear(`${at}.${kind}.o`, inner, c.hidden_size, plain),
  });
  const mlpOf = async (at: string): Promise<Mlp> => {
    const norm = normOf(`${at}.layer_norm`);
    const into: Linear[] = [];
    for (const wi of c.gated ? ['wi_0', 'wi_1'] : ['wi'])
      into.push(
        await weights.linear(`${at}.DenseReluDense.${wi}`, c.hidden_size, c.intermediate_size, plain),
      );
    const outer = await weights.linear(`${at}.DenseReluDense.wo`, c.intermediate_size, c.hidden_size, plain);
    return { norm, inner: into, outer };
  };
  // The table stands in the first layer alone, for all of them.
  const table = `${name}.block.0.layer.0.SelfAttention.relative_attention_bias`;
  const biases = weights.table(table, c.num_buckets, c.num_attention_heads);
  const layers: Layer[] = [];
  for (let i = 0; i < count; i++) {
    const at = `${name}.block.${i}.layer`;
    const self = await attentionOf(`${at}.0`, 'SelfAttention');
    layers.push(
      name === 'encoder'
        ? { self, mlp: await mlpOf(`${at}.1`) }
        : { self, across: await attentionOf(`${at}.1`, 'EncDecAttention'), mlp: await mlpOf(`${at}.2`) },
    );
  }
  return { layers, biases, norm: normOf(`${name}.final_layer_norm`) };
}
