/**
 * The next tokens of sequences that stand in a cache. A step over some number of them is always the same work on other numbers, so it is
 * recorded once for each number and run again, without the host's cost for each kernel. Sequences with different adapters go through one
 * pass where that may be, each adapter over its own rows; those that are drawn by different rules part at the logits.
 */

import type { Pass, AdapterPairs } from '../ops/pass.js';
import type { Backend, Recording } from '../backends/contract.js';
import type { KvCache } from '../models/blocks/cache.js';
import { forward, type CausalLM } from '../models/model.js';
import { linear } from '../ops/linear.js';
import { slice, Tensor } from '../tensor/tensor.js';
import { abortable, throwIfAborted } from '../util/abort.js';
import { inTurns } from '../util/turns.js';
import { answerPlace, inferencePass, runPrompts, type Prompt, type Share } from './prompts.js';
import { drawOf, ruleOf, type SamplingOptions } from './sampler.js';

/** A prompt that stands in a slot of the cache, or will, and what was generated behind it. */
export interface Sequence {
  readonly prompt: Prompt;
  readonly slot: number;
  readonly tokens: readonly number[];
  /** The adapter that answers it. */
  readonly pairs: AdapterPairs;
  readonly sampling: SamplingOptions;
  /** Sees the logits that its next token is chosen by, f32 [vocabulary], and may change them. */
  readonly onLogits?: ((logits: Float32Array) => void | Promise<void>) | undefined;
}

/** A prompt's tokens from `from` to before `to`, those before being in the sequence's slot already. */
export interface Part {
  readonly sequence: Sequence;
  readonly from: number;
  readonly to: number;
}

/** Sequences that go through the model at once: those of an adapter next to each other, among them those of a rule. */
interface DecodePass {
  readonly sequences: readonly Sequence[];
  readonly adapters: readonly Share[];
  readonly rules: readonly Rule[];
}

/** Rows whose next tokens are chosen in the same way. */
interface Rule {
  readonly sampling: SamplingOptions;
  readonly first: number;
  readonly rows: number;
}

/** By what rules tokens are chosen, or where their logits go to be looked at. */
type Choice = readonly Rule[] | Tensor;

/** Recordings that are kept: those that were run last. */
const MOST_STEPS = 64;

export class NextTokens {
  /** Last tokens, their positions, their slots, the draws of the next ones and the prompts' last places, i32 [5, slots]. */
  private readonly inputs: Tensor;
  private readonly chosen: Tensor;
  /** The one that was run last comes last. */
  private readonly steps = new Map<string, { readonly pairs: AdapterPairs; readonly recording: Recording }>();
  private readonly numbers = new WeakMap<AdapterPairs, number>();
  private adapters = 0;
  /** By the vocabulary's size. */
  private readonly seen = new Map<number, Tensor>();

  constructor(
    private readonly model: CausalLM,
    private readonly cache: KvCache,
    private readonly bf16: boolean,
  ) {
    const { backend } = model;
    const { slots } = cache.shape;
    this.inputs = Tensor.empty(backend, [5, slots], 'i32');
    this.chosen = Tensor.empty(backend, [slots], 'i32');
  }

  /**
   * Runs parts of prompts of one adapter: what is in their slots already is not run again. As `next` otherwise.
   * @param parts those that end their prompts first
   * @param signal once it is aborted, the pass is left out and ends with an AbortError
   * @returns the first tokens of those that end their prompts
   */
  async first(parts: readonly Part[], signal?: AbortSignal): Promise<ArrayLike<number>> {
    const { model, cache } = this;
    const prompts = parts.map(({ sequence: { slot, prompt }, from, to }) => ({
      ...{ slot, from },
      ids: to === prompt.ids.length ? prompt.ids : prompt.ids.slice(0, to),
    }));
    const ended = parts.filter(({ sequence, to }) => to === sequence.prompt.ids.length);
    const sequences = ended.map(({ sequence }) => sequence);
    const { pairs, sampling } = parts[0]!.sequence;
    const rules = rulesOf(sequences);
    this.upload(sequences);
    const ask = <T>(body: () => T): T => abortable(model.backend, signal, body);
    const g = inferencePass(model, this.bf16, [{ pairs }]);
    const isSeen = sequences.some(({ onLogits }) => onLogits);
    try {
      const hidden = await inTurns(runPrompts(g, model, cache, prompts), ask);
      const last = g.own(hidden.view([sequences.length, hidden.length / parts.length]));
      if (sequences.length > 0) ask(() => this.choose(g, last, isSeen ? this.seenBy(pairs) : rules));
    } finally {
      g.close();
    }
    if (sequences.length === 0) {
      await model.backend.synchronize();
      throwIfAborted(signal);
      return [];
    }
    // While the device runs the prompts: most often the next steps are over as many sequences as there are slots.
    if (model.backend.runsAhead && rules.length === 1 && !isSeen)
      this.recorded(pairs, ruleOf(sampling), cache.shape.slots, [
        { sampling, first: 0, rows: cache.shape.slots },
      ]);
    if (isSeen) await this.show(sequences, rules, this.seenBy(pairs), signal);
    return this.tokens(signal);
  }

  /** The next tokens of sequences that have some, in their order. */
  async next(sequences: readonly Sequence[], signal?: AbortSignal): Promise<ArrayLike<number>> {
    const { pairs, sampling } = sequences[0]!;
    if (sequences.every((s) => s.pairs === pairs && s.sampling === sampling))
      return this.run(
        { sequences, adapters: [{ pairs }], rules: [{ sampling, first: 0, rows: sequences.length }] },
        signal,
      );
    const tokens = new Int32Array(sequences.length);
    const places = new Map(sequences.map((sequence, i) => [sequence, i]));
    for (const pass of passesOf(sequences, this.model.backend)) {
      const chosen = await this.run(pass, signal);
      for (const [i, sequence] of pass.sequences.entries()) tokens[places.get(sequence)!] = chosen[i]!;
    }
    return tokens;
  }

  /** Drops what is recorded of an adapter. */
  forget(pairs: AdapterPairs): void {
    for (const [key, step] of this.steps) if (step.pairs === pairs) this.drop(key);
  }

  dispose(): void {
    for (const key of this.steps.keys()) this.drop(key);
    for (const t of [this.inputs, this.chosen, ...this.seen.values()]) t.release();
  }

  private async run(pass: DecodePass, signal: AbortSignal | undefined): Promise<ArrayLike<number>> {
    const { backend } = this.model;
    const { sequences, adapters, rules } = pass;
    const { pairs, sampling } = sequences[0]!;
    const seen = sequences.some(({ onLogits }) => onLogits) ? this.seenBy(pairs) : undefined;
    const isMixed = adapters.length > 1 || (!seen && rules.length > 1);
    // A device's recording costs many steps, so that few sizes of step are recorded; else none is larger than it must.
    const padded = backend.runsAhead && !isMixed;
    const count = padded ? Math.min(this.cache.shape.slots, sizeOfStep(sequences.length)) : sequences.length;
    this.upload(sequences, count);
    // Mixtures hardly come again.
    const choice = seen ?? (isMixed ? rules : [{ sampling, first: 0, rows: count }]);
    const step = isMixed ? undefined : this.recorded(pairs, seen ? 'seen' : ruleOf(sampling), count, choice);
    abortable(backend, signal, () => {
      if (step) step.run();
      else this.step(count, adapters, choice);
    });
    if (seen) await this.show(sequences, rules, seen, signal);
    return this.tokens(signal);
  }

  /** Shows logits to those that look at theirs, and chooses by what they are then. */
  private async show(
    sequences: readonly Sequence[],
    rules: readonly Rule[],
    seen: Tensor,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { backend } = this.model;
    const [, vocab] = seen.shape as [number, number];
    for (const [row, { onLogits }] of sequences.entries()) {
      if (!onLogits) continue;
      const own = seen.view([vocab], row * vocab);
      try {
        const logits = await own.toFloat32();
        throwIfAborted(signal);
        await onLogits(logits);
        throwIfAborted(signal);
        backend.upload(logits, own);
      } finally {
        own.release();
      }
    }
    abortable(backend, signal, () => this.chooseBy(rules, seen, vocab));
  }

  /** Where logits of an adapter's vocabulary stand that somebody looks at, f32 [slots, vocabulary]. */
  private seenBy({ tables }: AdapterPairs): Tensor {
    const { head, backend } = this.model;
    const { rows } = tables?.get(head) ?? head.weight;
    const there = this.seen.get(rows) ?? Tensor.empty(backend, [this.cache.shape.slots, rows]);
    this.seen.set(rows, there);
    return there;
  }

  /** What was chosen; an AbortError where that may be anything. */
  private async tokens(signal: AbortSignal | undefined): Promise<ArrayLike<number>> {
    const chosen = await this.chosen.toInt32();
    throwIfAborted(signal);
    return chosen;
  }

  private recorded(pairs: AdapterPairs, rule: string, count: number, choice: Choice): Recording {
    let number = this.numbers.get(pairs);
    if (number === undefined) this.numbers.set(pairs, (number = this.adapters++));
    const key = `${number}/${rule}/${count}`;
    const step = this.steps.get(key) ?? {
      pairs,
      recording: this.model.backend.record(() => this.step(count, [{ pairs }], choice)),
    };
    this.steps.delete(key);
    this.steps.set(key, step);
    if (this.steps.size > MOST_STEPS) this.drop(this.steps.keys().next().value!);
    return step.recording;
  }

  private drop(key: string): void {
    this.steps.get(key)?.recording.dispose();
    this.steps.delete(key);
  }

  /** Up to `count` the first sequence again: what it writes into the cache is the same. */
  private upload(sequences: readonly Sequence[], count = sequences.length): void {
    const { slots } = this.cache.shape;
    const inputs = new Int32Array(5 * slots);
    for (let i = 0; i < count; i++) {
      const { prompt, slot, tokens, sampling } = sequences[i] ?? sequences[0]!;
      inputs[i] = tokens.at(-1) ?? 0;
      inputs[slots + i] = answerPlace(this.model, prompt.ids) + tokens.length - 1;
      inputs[2 * slots + i] = slot;
      if (sampling.do_sample) inputs[3 * slots + i] = drawOf(sampling.seed, prompt.index, tokens.length);
      inputs[4 * slots + i] = prompt.ids.length - 1;
    }
    this.model.backend.upload(inputs, this.inputs);
  }

  private step(count: number, adapters: readonly Share[], choice: Choice): void {
    const { model, cache } = this;
    const { slots, capacity } = cache.shape;
    const g = inferencePass(model, this.bf16, adapters);
    const input = (row: number): Tensor => g.own(this.inputs.view([count], row * slots));
    try {
      const hidden = forward(model, g, {
        ids: input(0),
        positions: input(1),
        length: capacity,
        cache: { store: cache, slotOf: input(2), encoderEnds: input(4) },
        path: 'rows',
      });
      this.choose(g, hidden, choice);
    } finally {
      g.close();
    }
  }

  /** From hidden states [rows, hidden] to logits, and to the tokens that they give by rules, or to where they are looked at. */
  private choose(g: Pass, hidden: Tensor, choice: Choice): void {
    const logits = linear(g, hidden, this.model.head, { path: 'rows', output: 'f32' });
    if (choice instanceof Tensor) g.kernels.copy({ x: logits, y: choice, n: logits.length });
    else this.chooseBy(choice, logits, logits.shape[1]!);
  }

  private chooseBy(rules: readonly Rule[], logits: Tensor, vocab: number): void {
    const { kernels } = this.model.backend;
    const { slots } = this.cache.shape;
    for (const { sampling, first, rows } of rules) {
      const { do_sample, temperature, top_k: topK, top_p: topP } = sampling;
      const x = slice(logits, first * vocab, rows * vocab);
      const out = slice(this.chosen, first, this.chosen.length - first);
      if (!do_sample) {
        kernels.argmax({ x, out, rows, cols: vocab });
        continue;
      }
      const draws = slice(this.inputs, 3 * slots + first, rows);
      kernels.sample({ logits: x, draws, out, rows, vocab, temperature, topK, topP });
    }
  }
}

/** Runs of neighbours that are chosen by one rule. */
function rulesOf(sequences: readonly Sequence[]): Rule[] {
  const rules: Rule[] = [];
  for (const [first, { sampling }] of sequences.entries()) {
    const last = rules.at(-1);
    const same = last && (last.sampling === sampling || ruleOf(last.sampling) === ruleOf(sampling));
    if (same) rules[rules.length - 1] = { ...last, rows: last.rows + 1 };
    else rules.push({ sampling, first, rows: 1 });
  }
  return rules;
}

/**
 * Adapters take turns where they bring tables, which stand in the places of the embedding and the head, and on devices on which a row's bits
 * depend on its batch: their products of few rows are made for one adapter, and turns are what is recorded.
 */
function passesOf(
  sequences: readonly Sequence[],
  { batchInvariant }: Pick<Backend, 'batchInvariant'>,
): DecodePass[] {
  const byAdapter = new Map<AdapterPairs, Sequence[]>();
  for (const sequence of sequences) {
    const { pairs } = sequence;
    byAdapter.set(pairs, [...(byAdapter.get(pairs) ?? []), sequence]);
  }
  const together: Sequence[][] = [];
  const passes: Sequence[][][] = [];
  for (const [pairs, own] of byAdapter) {
    const ordered = rulesOf(own).length === 1 ? own : byRule(own);
    if (pairs.tables || !batchInvariant) passes.push([ordered]);
    else together.push(ordered);
  }
  if (together.length > 0) passes.push(together);
  return passes.map((parts) => {
    const all = parts.flat();
    const adapters = parts.map((own) => ({ pairs: own[0]!.pairs, rows: own.length }));
    return { sequences: all, adapters, rules: rulesOf(all) };
  });
}

function byRule(sequences: readonly Sequence[]): Sequence[] {
  const groups = new Map<string, Sequence[]>();
  for (const sequence of sequences) {
    const rule = ruleOf(sequence.sampling);
    groups.set(rule, [...(groups.get(rule) ?? []), sequence]);
  }
  return [...groups.values()].flat();
}

/** The least of 1, 2, 3, 4, 6, 8, 12, 16, 24 … that is not below n. */
function sizeOfStep(n: number): number {
  const power = 2 ** Math.ceil(Math.log2(n));
  return n <= power * 0.75 && power > 2 ? power * 0.75 : power;
}
