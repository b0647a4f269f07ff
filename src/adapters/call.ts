/** The adapter of a call: chosen when the call begins, and there until it ends, whatever is attached, detached or freed meanwhile. */

import type { AdapterPairs } from '../ops/pass.js';
import type { CausalLM } from '../models/model.js';

/** What a call takes for its adapter: one that was made for the model; null: none; absent: what is attached when the call begins. */
export type CallAdapter = { readonly pairs: AdapterPairs } | null;

const NONE: AdapterPairs = new Map();

/** The pairs of a call that begins now. Throws TypeError for another model's adapter. */
export function pairsOfCall(model: CausalLM, adapter: CallAdapter | undefined): AdapterPairs {
  if (adapter === null) return NONE;
  const pairs = adapter?.pairs ?? model.adapter ?? NONE;
  const own = new Set<object>(model.linears.values());
  for (const linear of pairs.keys())
    if (!own.has(linear)) throw new TypeError('the adapter was made for another model');
  return pairs;
}

/** Keeps an adapter's memory until the returned function is called. */
export function holdPairs(pairs: AdapterPairs): () => void {
  const tables = [...(pairs.tables?.values() ?? [])].map(({ data }) => data);
  const parts = [...pairs.values()].flatMap(({ parameters }) => parameters.map(({ value }) => value));
  const held = [...parts, ...tables];
  for (const t of held) t.retain();
  return () => {
    for (const t of held) t.release();
  };
}
