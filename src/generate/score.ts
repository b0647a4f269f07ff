/**
 * The likelihood of given continuations after a prompt: classification that cannot fall outside its labels. The prompt is run once;
 * each continuation's tokens are then run behind it in the same cache slot, one continuation after the other.
 */

import { Graph } from '../autograd/graph.js';
import { linear } from '../ops/linear.js';
import type { KvCache } from '../models/blocks/cache.js';
import type { CausalLM } from '../models/model.js';
import { checkPrompts, fillPrefix, gatherLast, runPrompts, type Prompt } from './generate.js';

export interface ScoreOptions {
  readonly batch_size: number;
  readonly sharedPrefix?: number;
  readonly signal?: AbortSignal;
}

export interface Scores {
  readonly index: number;
  /** The sum of the tokens' natural log-probabilities, for each continuation. */
  readonly logLikelihoods: number[];
}

export async function* scoreContinuations(
  model: CausalLM,
  prompts: readonly Prompt[],
  continuations: readonly (readonly number[])[],
  options: ScoreOptions,
): AsyncGenerator<Scores> {
  if (prompts.length === 0) return;
  checkPrompts(prompts);
  const slots = Math.min(options.batch_size, prompts.length);
  const longest =
    Math.max(...prompts.map((p) => p.ids.length)) + Math.max(...continuations.map((c) => c.length));
  const prefix = Math.min(options.sharedPrefix ?? 0, Math.min(...prompts.map((p) => p.ids.length)) - 1);
  const cache = model.createCache(slots, longest);
  try {
    if (prefix > 0) fillPrefix(model, cache, prompts[0]!.ids.slice(0, prefix));
    for (let i = 0; i < prompts.length && !options.signal?.aborted; i += slots) {
      yield* await scoreBatch(model, cache, prompts.slice(i, i + slots), continuations, prefix);
      await new Promise(setImmediate);
    }
  } finally {
    cache.dispose();
  }
}

async function scoreBatch(
  model: CausalLM,
  cache: KvCache,
  prompts: readonly Prompt[],
  continuations: readonly (readonly number[])[],
  prefix: number,
): Promise<Scores[]> {
  const g = new Graph(model.backend);
  const dim = model.config.hidden_size;
  const vocab = model.head.outFeatures;
  try {
    const placed = prompts.map((p, slot) => ({ slot, ids: p.ids }));
    const hidden = runPrompts(g, model, cache, placed, prefix);
    const last = gatherLast(
      g,
      hidden,
      placed.map((p) => p.ids.length - prefix),
      dim,
    );
    const first = linear(g, last, model.head, { path: 'rows' });
    const scores = prompts.map((p) => ({ index: p.index, logLikelihoods: [] as number[] }));
    for (const tokens of continuations) {
      const losses = g.empty([prompts.length]);
      const starts = g.from(new Int32Array(prompts.length).fill(tokens[0]!));
      g.kernels.crossEntropy({ logits: first, targets: starts, losses, rows: prompts.length, vocab });
      const firstLosses = await losses.toFloat32();
      const rest = await restLosses(g, model, cache, placed, tokens);
      scores.forEach((s, i) => s.logLikelihoods.push(-(firstLosses[i]! + rest[i]!)));
    }
    return scores;
  } finally {
    g.close();
  }
}

/** The summed losses of a continuation's tokens after its first, for each prompt. */
async function restLosses(
  g: Graph,
  model: CausalLM,
  cache: KvCache,
  placed: readonly { slot: number; ids: readonly number[] }[],
  tokens: readonly number[],
): Promise<number[]> {
  const given = tokens.slice(0, -1);
  if (given.length === 0) return placed.map(() => 0);
  const inner = new Graph(g.backend);
  try {
    const rows = placed.length * given.length;
    const perRow = <T>(value: (p: (typeof placed)[number], i: number) => T): T[] =>
      placed.flatMap((p) => given.map((_, i) => value(p, i)));
    const hidden = model.forward(inner, {
      ids: inner.from(Int32Array.from(perRow((_, i) => given[i]!))),
      positions: inner.from(Int32Array.from(perRow((p, i) => p.ids.length + i))),
      length: cache.capacity,
      cache: { store: cache, slotOf: inner.from(Int32Array.from(perRow((p) => p.slot))) },
      path: 'rows',
    });
    const logits = linear(inner, hidden, model.head, { path: 'rows' });
    const targets = inner.from(Int32Array.from(perRow((_, i) => tokens[i + 1]!)));
    const losses = inner.empty([rows]);
    inner.kernels.crossEntropy({ logits, targets, losses, rows, vocab: model.head.outFeatures });
    const each = await losses.toFloat32();
    return placed.map((_, p) => given.reduce((sum, _, i) => sum + each[p * given.length + i]!, 0));
  } finally {
    inner.close();
  }
}
