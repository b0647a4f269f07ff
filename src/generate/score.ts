/**
 * The likelihood of given continuations after a prompt: classification that cannot fall outside its labels. The prompt is run once;
 * each continuation's tokens are then run behind it in the same cache slot, one continuation after the other.
 */

import { holdPairs, pairsOfCall, type CallAdapter } from '../adapters/call.js';
import { linear } from '../ops/linear.js';
import type { KvCache } from '../models/blocks/cache.js';
import { forward, type CausalLM } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import { abortable, throwIfAborted } from '../util/abort.js';
import { inTurns } from '../util/turns.js';
import {
  answerPlace,
  cacheFor,
  BATCH_SIZE,
  checkPrompts,
  fillPrefix,
  inferencePass,
  promptGroups,
  lengthsOf,
  prefillTokens,
  runPrompts,
  sharedTokens,
  type InferenceOptions,
  type Prompt,
  type BatchOptions,
  type PromptGroup,
} from './prompts.js';
import { MOST_POSITIONS } from '../models/tokens.js';
import { checkWhole } from '../util/checks.js';

export interface LikelihoodOptions extends BatchOptions {
  /** As in GenerateOptions. */
  readonly bf16?: boolean;
  readonly adapter?: CallAdapter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How likely the continuations of one prompt are. */
export interface Scores {
  readonly index: number;
  /** The sum of the tokens' natural log-probabilities, for each continuation. */
  readonly logLikelihoods: number[];
}

type CallOptions = LikelihoodOptions & Pick<InferenceOptions, 'pairs'>;

/** Yields each prompt's scores. Adapter, signal and errors are as `generate`'s. */
export function scoreContinuations(
  model: CausalLM,
  prompts: readonly Prompt[],
  continuations: readonly (readonly number[])[],
  options: LikelihoodOptions,
): AsyncGenerator<Scores> {
  return scores(model, prompts, continuations, { ...options, pairs: pairsOfCall(model, options.adapter) });
}

async function* scores(
  model: CausalLM,
  prompts: readonly Prompt[],
  continuations: readonly (readonly number[])[],
  options: CallOptions,
): AsyncGenerator<Scores> {
  throwIfAborted(options.signal);
  checkPrompts(model, prompts, options, options.pairs);
  checkWhole('the number of continuations', continuations.length, 1);
  for (const tokens of continuations) {
    checkWhole('the length of a continuation', tokens.length, 1, MOST_POSITIONS);
    checkTokens(model, tokens, options.pairs);
  }
  if (prompts.length === 0) return;
  const prefix = sharedTokens(model, options.sharedPrefix, lengthsOf(prompts).shortest);
  const newTokens = Math.max(...continuations.map((c) => c.length));
  const letGo = holdPairs(options.pairs);
  try {
    for (const group of promptGroups(prompts, options.batch_size ?? BATCH_SIZE, newTokens))
      yield* scoreGroup(model, group, continuations, { ...options, prefix, newTokens });
  } finally {
    letGo();
  }
}

async function* scoreGroup(
  model: CausalLM,
  { prompts, slots }: PromptGroup,
  continuations: readonly (readonly number[])[],
  options: CallOptions & { readonly prefix: number; readonly newTokens: number },
): AsyncGenerator<Scores> {
  const { prefix, newTokens, bf16 } = options;
  const all = Array.from({ length: slots }, (_, slot) => slot);
  const cache = cacheFor(model, slots, { longest: lengthsOf(prompts).longest, newTokens, bf16 });
  try {
    if (prefix > 0) await fillPrefix(model, cache, prompts[0]!.ids.slice(0, prefix), { to: all }, options);
    const room = prefillTokens(model);
    for (let i = 0; i < prompts.length;) {
      const batch: Prompt[] = [];
      for (let tokens = 0; i < prompts.length && batch.length < slots && tokens < room; i++) {
        batch.push(prompts[i]!);
        tokens += prompts[i]!.ids.length - prefix;
      }
      yield* await scoreBatch(model, cache, batch, continuations, prefix, options);
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
  options: CallOptions,
): Promise<Scores[]> {
  const { signal } = options;
  const g = inferencePass(model, options.bf16, [{ pairs: options.pairs }]);
  try {
    const placed = prompts.map((p, slot) => ({ slot, ids: p.ids, from: prefix }));
    const ask = <T>(body: () => T): T => abortable(model.backend, signal, body);
    const hidden = await inTurns(runPrompts(g, model, cache, placed), ask);
    const first = ask(() => linear(g, hidden, model.head, { path: 'rows', output: 'f32' }));
    const scores = prompts.map((p) => ({ index: p.index, logLikelihoods: [] as number[] }));
    for (const tokens of continuations) {
      const losses = g.empty([prompts.length], 'f32');
      const starts = g.from(new Int32Array(prompts.length).fill(tokens[0]!));
      const vocab = first.shape[1]!;
      g.kernels.crossEntropy({ logits: first, targets: starts, losses, rows: prompts.length, vocab });
      const firstLosses = await losses.toFloat32();
      throwIfAborted(signal);
      const rest = await restLosses(model, cache, placed, tokens, options);
      scores.forEach((s, i) => s.logLikelihoods.push(-(firstLosses[i]! + rest[i]!)));
    }
    return scores;
  } finally {
    g.close();
  }
}

/** The summed losses of a continuation's tokens after its first, for each prompt. */
async function restLosses(
  model: CausalLM,
  cache: KvCache,
  placed: readonly { slot: number; ids: readonly number[] }[],
  tokens: readonly number[],
  options: CallOptions,
): Promise<number[]> {
  const given = tokens.slice(0, -1);
  if (given.length === 0) return placed.map(() => 0);
  const inner = inferencePass(model, options.bf16, [{ pairs: options.pairs }]);
  try {
    const rows = placed.length * given.length;
    const perRow = <T>(value: (p: (typeof placed)[number], i: number) => T): T[] =>
      placed.flatMap((p) => given.map((_, i) => value(p, i)));
    const input = {
      ids: inner.from(Int32Array.from(perRow((_, i) => given[i]!))),
      positions: inner.from(Int32Array.from(perRow((p, i) => answerPlace(model, p.ids) + i))),
      length: cache.shape.capacity,
      cache: {
        store: cache,
        slotOf: inner.from(Int32Array.from(perRow((p) => p.slot))),
        encoderEnds: inner.from(Int32Array.from(perRow((p) => p.ids.length - 1))),
      },
      path: 'rows',
    } as const;
    const targets = inner.from(Int32Array.from(perRow((_, i) => tokens[i + 1]!)));
    const losses = inner.empty([rows], 'f32');
    abortable(model.backend, options.signal, () => {
      const hidden = forward(model, inner, input);
      const logits = linear(inner, hidden, model.head, { path: 'rows', output: 'f32' });
      inner.kernels.crossEntropy({ logits, targets, losses, rows, vocab: logits.shape[1]! });
    });
    const each = await losses.toFloat32();
    throwIfAborted(options.signal);
    return placed.map((_, p) => given.reduce((sum, _, i) => sum + each[p * given.length + i]!, 0));
  } finally {
    inner.close();
  }
}
