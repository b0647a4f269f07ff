/** Running prompts into the slots of a key-value cache: what generation and scoring have in common. */

import { Graph } from '../autograd/graph.js';
import { slice, type Tensor } from '../tensor/tensor.js';
import type { KvCache } from '../models/blocks/cache.js';
import type { CausalLM } from '../models/model.js';
import { checkTokens } from '../models/tokens.js';
import { UserError } from '../util/errors.js';

export interface Prompt {
  /** Names the prompt in the answers, and seeds its draws. */
  readonly index: number;
  readonly ids: readonly number[];
}

/** Tokens of prompt to run in one pass: enough to keep the backend busy. */
export function prefillTokens({ backend }: CausalLM): number {
  return backend.activations === 'bf16' ? 8192 : 2048;
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
    const { slots, capacity, kvHeads, headDim } = cache.shape;
    const size = capacity * kvHeads * headDim;
    const used = ids.length * kvHeads * headDim;
    for (const t of [...cache.keys, ...cache.values]) {
      for (let s = 1; s < slots; s++) {
        g.kernels.copy({ x: slice(t, 0, used), y: slice(t, s * size, used), n: used });
      }
    }
  } finally {
    g.close();
  }
}

/**
 * Runs prompts from their token `prefix` on, the tokens before being in their slots already.
 * @returns hidden states of each prompt's last row, [prompts, hidden_size]
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
  let end = 0;
  const last = Int32Array.from(parts, (part) => (end += part.length) - 1);
  return model.forward(g, {
    ids: g.from(ids),
    positions: g.from(positions),
    // The whole capacity, so that no table grows later, while steps are recorded.
    length: cache.shape.capacity,
    cache: { store: cache, slotOf: g.from(slotOf) },
    wanted: g.from(last),
    ...(prefix === 0 && { segments: g.from(segments) }),
  });
}
