/**
 * Generation over a batch of prompts of different lengths. Sequences live in the slots of a key-value cache; one that is finished
 * gives its slot to the next prompt at once. A prompt's answer is the same, bit for bit, whatever stands beside it.
 */

import { Graph } from '../autograd/graph.js';
import { linear } from '../ops/linear.js';
import { slice, Tensor } from '../tensor/tensor.js';
import type { KvCache } from '../models/blocks/cache.js';
import type { CausalLM } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import { UserError } from '../util/errors.js';
import { sampleToken, type SamplingOptions } from './sampler.js';

export interface GenerateOptions extends SamplingOptions {
  readonly max_new_tokens: number;
  /** Tokens that end an answer; they are not part of it. */
  readonly stopTokens: readonly number[];
  /** Sequences at once. */
  readonly batch_size: number;
  /** Leading tokens that all prompts share: run once. See `commonPrefix`. */
  readonly sharedPrefix?: number;
  /** Round matrix products' factors to bfloat16 where the backend gains by it. */
  readonly bf16?: boolean;
  readonly signal?: AbortSignal;
  /** Sees each token of an answer as it is chosen. */
  readonly onToken?: (index: number, token: number) => void;
}

export interface Prompt {
  /** Names the prompt in the answers, and seeds its draws. */
  readonly index: number;
  readonly ids: readonly number[];
}

export interface Answer {
  readonly index: number;
  /** New tokens, without the stop token. */
  readonly tokens: number[];
  readonly finish: 'stop' | 'length';
}

interface Sequence {
  readonly prompt: Prompt;
  readonly slot: number;
  readonly tokens: number[];
}

/** Tokens of prompt to run in one pass. */
export const PREFILL_TOKENS = 2048;

/** Yields answers as they are finished, each step's in the order of the slots. */
export async function* generate(
  model: CausalLM,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<Answer> {
  if (prompts.length === 0) return;
  checkPrompts(model, prompts);
  const { shortest, longest } = lengthsOf(prompts);
  const slots = Math.min(options.batch_size, prompts.length);
  const cache = model.createCache(slots, longest + options.max_new_tokens);
  try {
    const prefix = Math.min(options.sharedPrefix ?? 0, shortest - 1);
    if (prefix > 0) fillPrefix(model, cache, prompts[0]!.ids.slice(0, prefix), options);
    const waiting = [...prompts].reverse();
    const free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
    let active: Sequence[] = [];
    while ((active.length > 0 || waiting.length > 0) && !options.signal?.aborted) {
      const entering: Sequence[] = [];
      for (let tokens = 0; free.length > 0 && waiting.length > 0 && tokens < PREFILL_TOKENS;) {
        const prompt = waiting.pop()!;
        tokens += prompt.ids.length - prefix;
        entering.push({ prompt, slot: free.pop()!, tokens: [] });
      }
      // Those that enter get their first token from their prompt, the others their next from their last.
      const stepped = entering.length > 0 ? entering : active;
      const chosen = await nextTokens(model, cache, stepped, prefix, options);
      const finished: Answer[] = [];
      const going = stepped.filter((s, i) => {
        const token = chosen[i]!;
        const stop = options.stopTokens.includes(token);
        if (!stop) {
          s.tokens.push(token);
          options.onToken?.(s.prompt.index, token);
        }
        if (!stop && s.tokens.length < options.max_new_tokens) return true;
        finished.push({ index: s.prompt.index, tokens: s.tokens, finish: stop ? 'stop' : 'length' });
        free.push(s.slot);
        return false;
      });
      active = entering.length > 0 ? [...active, ...going] : going;
      yield* finished;
      await new Promise(setImmediate);
    }
  } finally {
    cache.dispose();
  }
}

/** A graph that records nothing. */
export function inferenceGraph(model: CausalLM, { bf16 = false }: { readonly bf16?: boolean }): Graph {
  return new Graph(model.backend, { precision: bf16 ? 'bf16' : 'f32' });
}

/** How many leading tokens all prompts share. */
export function commonPrefix(prompts: readonly (readonly number[])[]): number {
  const [first, ...others] = prompts;
  if (!first) return 0;
  return others.reduce((length, ids) => {
    let i = 0;
    while (i < length && ids[i] === first[i]) i++;
    return i;
  }, first.length);
}

export function checkPrompts(model: CausalLM, prompts: readonly Prompt[]): void {
  for (const { index, ids } of prompts) {
    if (ids.length === 0) throw new UserError(`prompt ${index} holds no token; a prompt needs one at least`);
    checkTokens(model, ids);
  }
}

/** In tokens. */
export function lengthsOf(prompts: readonly Prompt[]): { shortest: number; longest: number } {
  return prompts.reduce(
    ({ shortest, longest }, { ids }) => ({
      shortest: Math.min(shortest, ids.length),
      longest: Math.max(longest, ids.length),
    }),
    { shortest: Infinity, longest: 0 },
  );
}

/** Runs the prefix into slot 0 and copies its keys and values to the others. */
export function fillPrefix(
  model: CausalLM,
  cache: KvCache,
  ids: readonly number[],
  options: { readonly bf16?: boolean },
): void {
  const g = inferenceGraph(model, options);
  try {
    runPrompts(g, model, cache, [{ slot: 0, ids }], 0);
    const size = cache.capacity * cache.kvHeads * cache.headDim;
    const used = ids.length * cache.kvHeads * cache.headDim;
    for (const t of [...cache.keys, ...cache.values]) {
      for (let s = 1; s < cache.slots; s++) {
        g.kernels.copy({ x: slice(t, 0, used), y: slice(t, s * size, used), n: used });
      }
    }
  } finally {
    g.close();
  }
}

/**
 * Runs prompts from their token `prefix` on, the tokens before being in their slots already.
 * @returns hidden states of all rows, prompt after prompt
 */
export function runPrompts(
  g: Graph,
  model: CausalLM,
  cache: KvCache,
  prompts: readonly { slot: number; ids: readonly number[] }[],
  prefix: number,
): Tensor {
  const parts = prompts.map((p) => p.ids.slice(prefix));
  const ids = Int32Array.from(parts.flat());
  const positions = Int32Array.from(parts.flatMap((part) => part.map((_, i) => prefix + i)));
  const slotOf = Int32Array.from(parts.flatMap((part, i) => part.map(() => prompts[i]!.slot)));
  const segments = Int32Array.from(parts.flatMap((part, i) => part.map(() => i)));
  return model.forward(g, {
    ids: g.from(ids),
    positions: g.from(positions),
    length: Math.max(...prompts.map((p) => p.ids.length)),
    cache: { store: cache, slotOf: g.from(slotOf) },
    ...(prefix === 0 && { segments: g.from(segments) }),
  });
}

/** The next token of each sequence: of its prompt where it has no token yet. */
async function nextTokens(
  model: CausalLM,
  cache: KvCache,
  sequences: readonly Sequence[],
  prefix: number,
  options: GenerateOptions,
): Promise<ArrayLike<number>> {
  const g = inferenceGraph(model, options);
  try {
    const entering = sequences[0]!.tokens.length === 0;
    const last = entering
      ? lastRows(g, model, cache, sequences, prefix)
      : model.forward(g, {
          ids: g.from(Int32Array.from(sequences, (s) => s.tokens.at(-1)!)),
          positions: g.from(Int32Array.from(sequences, (s) => s.prompt.ids.length + s.tokens.length - 1)),
          length: cache.capacity,
          cache: { store: cache, slotOf: g.from(Int32Array.from(sequences, (s) => s.slot)) },
          path: 'rows',
        });
    const logits = linear(g, last, model.head, { path: 'rows' });
    const vocab = model.head.outFeatures;
    if (!options.do_sample) {
      const out = g.empty([sequences.length], 'i32');
      g.kernels.argmax({ x: logits, out, rows: sequences.length, cols: vocab });
      return await out.toInt32();
    }
    const rows = await logits.toFloat32();
    return sequences.map((s, i) =>
      sampleToken(rows.subarray(i * vocab, (i + 1) * vocab), options, s.prompt.index, s.tokens.length),
    );
  } finally {
    g.close();
  }
}

function lastRows(
  g: Graph,
  model: CausalLM,
  cache: KvCache,
  sequences: readonly Sequence[],
  prefix: number,
): Tensor {
  const prompts = sequences.map((s) => ({ slot: s.slot, ids: s.prompt.ids }));
  const hidden = runPrompts(g, model, cache, prompts, prefix);
  return gatherLast(
    g,
    hidden,
    prompts.map((p) => p.ids.length - prefix),
    model.config.hidden_size,
  );
}

/** The last row of each of the parts that follow one another in `hidden`. */
export function gatherLast(g: Graph, hidden: Tensor, lengths: readonly number[], dim: number): Tensor {
  let end = 0;
  const index = g.from(Int32Array.from(lengths, (length) => (end += length) - 1));
  const y = g.empty([lengths.length, dim]);
  g.kernels.gatherRows({ x: hidden, index, y, rows: lengths.length, dim });
  return y;
}
