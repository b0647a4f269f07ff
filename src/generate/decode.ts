/**
 * One step of generation: the next token of each of some sequences. A step over sequences that stand in the cache is always the same
 * work on other numbers, so it is recorded once for each number of sequences and run again, without the host's cost for each kernel.
 */

import type { Pass } from '../ops/pass.js';
import type { Recording } from '../backends/contract.js';
import type { KvCache } from '../models/blocks/cache.js';
import { forward, type CausalLM } from '../models/model.js';
import { linear } from '../ops/linear.js';
import { Tensor } from '../tensor/tensor.js';
import { answerPlace, inferenceGraph, runPrompts, type PassOptions, type Prompt } from './prompts.js';
import { abortable, throwIfAborted } from '../util/abort.js';
import { inTurns } from '../util/turns.js';
import { drawOf, type SamplingOptions } from './sampler.js';

/** A prompt that stands in a slot of the cache, or will, and what was generated behind it. */
export interface Sequence {
  readonly prompt: Prompt;
  readonly slot: number;
  readonly tokens: readonly number[];
}

export interface DecodeOptions extends SamplingOptions, PassOptions {}

export class Decoder {
  /** Last tokens, their positions, their slots, the draws of the next ones and the prompts' last places, i32 [5, slots]. */
  private readonly inputs: Tensor;
  private readonly chosen: Tensor;
  private readonly steps = new Map<number, Recording>();

  constructor(
    private readonly model: CausalLM,
    private readonly cache: KvCache,
    private readonly options: DecodeOptions,
  ) {
    const { backend } = model;
    const { slots } = cache.shape;
    this.inputs = Tensor.empty(backend, [5, slots], 'i32');
    this.chosen = Tensor.empty(backend, [slots], 'i32');
  }

  /** The first tokens after prompts whose first `prefix` tokens stand in the cache already. */
  async first(sequences: readonly Sequence[], prefix: number): Promise<ArrayLike<number>> {
    const { model, cache } = this;
    const prompts = sequences.map((s) => ({ slot: s.slot, ids: s.prompt.ids }));
    this.upload(sequences);
    const ask = <T>(body: () => T): T => abortable(model.backend, this.options.signal, body);
    const g = inferenceGraph(model, this.options);
    try {
      const hidden = await inTurns(runPrompts(g, model, cache, prompts, prefix), ask);
      ask(() => this.choose(g, hidden, sequences.length));
    } finally {
      g.close();
    }
    // While the device runs the prompts: most often the next steps are over as many sequences as there are slots.
    if (model.backend.runsAhead) this.recorded(cache.shape.slots);
    return this.tokens();
  }

  /** The next token of sequences that have some. */
  async next(sequences: readonly Sequence[]): Promise<ArrayLike<number>> {
    const { backend } = this.model;
    const { slots } = this.cache.shape;
    // A device's recording costs many steps, so that few sizes of step are recorded; else none is larger than it must.
    const count = backend.runsAhead ? Math.min(slots, sizeOfStep(sequences.length)) : sequences.length;
    this.upload(sequences, count);
    const step = this.recorded(count);
    abortable(this.model.backend, this.options.signal, () => step.run());
    return this.tokens();
  }

  /** What was chosen; an AbortError where that may be anything. */
  private async tokens(): Promise<ArrayLike<number>> {
    const chosen = await this.chosen.toInt32();
    throwIfAborted(this.options.signal);
    return chosen;
  }

  private recorded(count: number): Recording {
    let step = this.steps.get(count);
    if (!step) this.steps.set(count, (step = this.model.backend.record(() => this.step(count))));
    return step;
  }

  dispose(): void {
    for (const step of this.steps.values()) step.dispose();
    for (const t of [this.inputs, this.chosen]) t.release();
  }

  /** Up to `count` the first sequence again: what it writes into the cache is the same. */
  private upload(sequences: readonly Sequence[], count = sequences.length): void {
    const { slots } = this.cache.shape;
    const { do_sample, seed } = this.options;
    const inputs = new Int32Array(5 * slots);
    for (let i = 0; i < count; i++) {
      const { prompt, slot, tokens } = sequences[i] ?? sequences[0]!;
      inputs[i] = tokens.at(-1) ?? 0;
      inputs[slots + i] = answerPlace(this.model, prompt.ids) + tokens.length - 1;
      inputs[2 * slots + i] = slot;
      if (do_sample) inputs[3 * slots + i] = drawOf(seed, prompt.index, tokens.length);
      inputs[4 * slots + i] = prompt.ids.length - 1;
    }
    this.model.backend.upload(inputs, this.inputs);
  }

  private step(count: number): void {
    const { model, cache } = this;
    const { slots, capacity } = cache.shape;
    const g = inferenceGraph(model, this.options);
    const input = (row: number): Tensor => g.own(this.inputs.view([count], row * slots));
    try {
      const hidden = forward(model, g, {
        ids: input(0),
        positions: input(1),
        length: capacity,
        cache: { store: cache, slotOf: input(2), encoderEnds: input(4) },
        path: 'rows',
      });
      this.choose(g, hidden, count);
    } finally {
      g.close();
    }
  }

  /** From hidden states [count, hidden] to logits and the tokens that they give. */
  private choose(g: Pass, hidden: Tensor, count: number): void {
    const { head } = this.model;
    const { do_sample, temperature, top_k: topK, top_p: topP } = this.options;
    const logits = linear(g, hidden, head, { path: 'rows', output: 'f32' });
    const [out, vocab] = [this.chosen, logits.shape[1]!];
    if (!do_sample) {
      g.kernels.argmax({ x: logits, out, rows: count, cols: vocab });
      return;
    }
    const { slots } = this.cache.shape;
    const draws = g.own(this.inputs.view([count], 3 * slots));
    g.kernels.sample({ logits, draws, out, rows: count, vocab, temperature, topK, topP });
  }
}

/** The least of 1, 2, 3, 4, 6, 8, 12, 16, 24 … that is not below n. */
function sizeOfStep(n: number): number {
  const power = 2 ** Math.ceil(Math.log2(n));
  return n <= power * 0.75 && power > 2 ? power * 0.75 : power;
}
