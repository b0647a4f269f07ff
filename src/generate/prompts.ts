/**
 * Running prompts into the slots of a key-value cache: what generation and scoring have in common. A model with an encoder reads a prompt
 * there, once; its decoder's text is then the start token and the answer.
 */

import { Pass, type AdapterPairs, type Member } from '../ops/pass.js';
import { slice, type Tensor } from '../tensor/tensor.js';
import type { KvCache } from '../models/blocks/cache.js';
import { readsByEncoder, type CausalLM } from '../models/model.js';
import { checkTokens, MOST_POSITIONS } from '../models/tokens.js';
import { checkSeed, checkWhole } from '../util/checks.js';
import { abortable } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { inTurns } from '../util/turns.js';

/** A prompt by its ids. */
export interface Prompt {
  /** Names the prompt in the answers, and seeds its draws. */
  readonly index: number;
  readonly ids: readonly number[];
}

/** Tokens of prompt to run in one pass: enough to keep the backend busy. */
export function prefillTokens({ backend }: CausalLM): number {
  return backend.activations === 'bf16' ? 8192 : 2048;
}

/** What all passes of a call share. */
export interface InferenceOptions {
  /** Run in bf16 precision (`GraphOptions.precision`). */
  readonly bf16?: boolean | undefined;
  /** The call's adapter. */
  readonly pairs: AdapterPairs;
  readonly signal?: AbortSignal | undefined;
}

/** An adapter, and how many of a pass's rows it answers; absent: all. */
export type Share = Pick<Member, 'pairs' | 'rows'>;

/** A pass that records nothing for a backward one, over the rows of each adapter, one behind the other. */
export function inferencePass(
  { backend }: CausalLM,
  bf16: boolean | undefined,
  shares: readonly Share[],
): Pass {
  const members = shares.map(({ pairs, rows }) => {
    return { seed: 0, step: 0, pairs, ...(rows !== undefined && { rows }) };
  });
  return new Pass(backend, { precision: bf16 ? 'bf16' : 'f32', members });
}

/** A cache for sequences whose prompts and answers are at most so long. */
export function cacheFor(
  model: CausalLM,
  slots: number,
  { longest, newTokens, bf16 = false }: { longest: number; newTokens: number; bf16?: boolean | undefined },
): KvCache {
  const room = readsByEncoder(model)
    ? { capacity: 1 + newTokens, encoder: longest }
    : { capacity: longest + newTokens };
  return model.createCache(slots, room, bf16 ? 'bf16' : 'f32');
}

/** The place of an answer's first token in its slot. */
export function answerPlace(model: CausalLM, prompt: readonly number[]): number {
  return readsByEncoder(model) ? 1 : prompt.length;
}

/** Leading tokens of the prompts that are run once: an encoder's rows see what comes behind them, so that none are shared. */
export function sharedTokens(model: CausalLM, wanted: number | undefined, shortest: number): number {
  return readsByEncoder(model) ? 0 : Math.min(wanted ?? 0, shortest - 1);
}

/** Tokens that a cache has room for, unless a single sequence is longer: its slots are all as long as the longest. */
const MOST_CACHED = 1 << 16;

/** Prompts that go through one cache, and its slots. */
export interface PromptGroup {
  readonly prompts: readonly Prompt[];
  readonly slots: number;
}

/** The prompts in the order given, but the long ones apart, fewer at once: one among many would make every slot as long. */
export function promptGroups(
  prompts: readonly Prompt[],
  batchSize: number,
  newTokens: number,
): PromptGroup[] {
  const groups: PromptGroup[] = [];
  let rest = prompts;
  for (let slots = Math.min(batchSize, prompts.length); rest.length > 0; slots = Math.ceil(slots / 2)) {
    const fits = ({ ids }: Prompt): boolean => slots === 1 || (ids.length + newTokens) * slots <= MOST_CACHED;
    const short = rest.filter(fits);
    if (short.length > 0) groups.push({ prompts: short, slots: Math.min(slots, short.length) });
    rest = rest.filter((prompt) => !fits(prompt));
  }
  return groups;
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

export const BATCH_SIZE = 16;

/** What generating and scoring have in common of their options. */
export interface BatchOptions {
  /** Sequences at once; BATCH_SIZE by default. */
  readonly batch_size?: number | undefined;
  /** Leading tokens that all prompts share: run once. See `commonPrefix`. */
  readonly sharedPrefix?: number;
}

/** Throws UserError for a prompt that is empty, longer than the model's context or not of its tokens. */
export function checkPrompt(model: CausalLM, { index, ids }: Prompt, pairs: AdapterPairs): void {
  // T5 knows distances alone, of any size.
  const context = readsByEncoder(model) ? MOST_POSITIONS : model.config.max_position_embeddings;
  checkSeed('index', index);
  if (ids.length === 0) throw new UserError(`prompt ${index} holds no token; a prompt needs one at least`);
  if (ids.length > context)
    throw new UserError(
      `prompt ${index} has ${ids.length} tokens, and the model's context is ${context}: shorten the prompt`,
    );
  checkTokens(model, ids, pairs);
}

/** `checkPrompt` of all; RangeError and TypeError for options that say nothing sensible. */
export function checkPrompts(
  model: CausalLM,
  prompts: readonly Prompt[],
  { batch_size = BATCH_SIZE, sharedPrefix = 0 }: BatchOptions,
  pairs: AdapterPairs,
): void {
  checkWhole('batch_size', batch_size, 1);
  checkWhole('sharedPrefix', sharedPrefix, 0);
  for (const prompt of prompts) checkPrompt(model, prompt, pairs);
  const shared = sharedPrefix > 0 ? commonPrefix(prompts.map(({ ids }) => ids)) : 0;
  if (sharedPrefix > shared)
    throw new RangeError(`sharedPrefix is ${sharedPrefix}, but the prompts share ${shared} leading tokens`);
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

/** Runs the prefix into the first of the slots and copies its keys and values to the others; `from`: a slot that has it already. */
export async function fillPrefix(
  model: CausalLM,
  cache: KvCache,
  ids: readonly number[],
  { from, to }: { readonly from?: number; readonly to: readonly number[] },
  options: InferenceOptions,
): Promise<void> {
  const source = from ?? to[0]!;
  const g = inferencePass(model, options.bf16, [{ pairs: options.pairs }]);
  const ask = <T>(body: () => T): T => abortable(model.backend, options.signal, body);
  try {
    if (from === undefined) await inTurns(runPrompts(g, model, cache, [{ slot: source, ids, from: 0 }]), ask);
    ask(() => copyBeginning(g, cache, ids.length, { from: source, to }));
  } finally {
    g.close();
  }
}

/** Copies the keys and values of a slot's first tokens to others. */
function copyBeginning(
  g: Pass,
  cache: KvCache,
  tokens: number,
  { from, to }: { readonly from: number; readonly to: readonly number[] },
): void {
  const { capacity, kvHeads, headDim } = cache.shape;
  const size = capacity * kvHeads * headDim;
  const used = tokens * kvHeads * headDim;
  for (const t of [...cache.keys, ...cache.values])
    for (const slot of to.filter((slot) => slot !== from))
      g.kernels.copy({ x: slice(t, from * size, used), y: slice(t, slot * size, used), n: used });
}

/** A prompt, or the beginning of one, whose tokens before `from` stand in its slot already. */
export interface PromptPart {
  readonly slot: number;
  readonly ids: readonly number[];
  readonly from: number;
}

/**
 * Runs what of prompts is not in their slots.
 * @returns hidden states of each prompt's last row, [prompts, hidden_size]
 */
export function runPrompts(
  g: Pass,
  model: CausalLM,
  cache: KvCache,
  prompts: readonly PromptPart[],
): Generator<void, Tensor, void> {
  if (readsByEncoder(model)) return runEncoder(g, model, cache, prompts);
  const parts = prompts.map(({ ids, from }) => ids.slice(from));
  const perToken = (value: (i: number, place: number) => number): Tensor =>
    g.from(Int32Array.from(parts.flatMap((part, i) => part.map((_, place) => value(i, place)))));
  let end = 0;
  const last = Int32Array.from(parts, (part) => (end += part.length) - 1);
  return model.pass(g, {
    ids: perToken((i, place) => parts[i]![place]!),
    positions: perToken((i, place) => prompts[i]!.from + place),
    // The whole capacity, so that no table grows later, while steps are recorded.
    length: cache.shape.capacity,
    cache: { store: cache, slotOf: perToken((i) => prompts[i]!.slot) },
    wanted: g.from(last),
    // Texts that stand here whole see nothing else of the cache.
    ...(prompts.every(({ from }) => from === 0) && { segments: perToken((i) => i) }),
  });
}

/** The prompts as the encoder's texts, and the start token of each answer behind them. */
function runEncoder(
  g: Pass,
  model: CausalLM,
  cache: KvCache,
  prompts: readonly Omit<PromptPart, 'from'>[],
): Generator<void, Tensor, void> {
  const count = prompts.length;
  const perToken = (value: (i: number, place: number) => number): Tensor =>
    g.from(Int32Array.from(prompts.flatMap((p, i) => p.ids.map((_, place) => value(i, place)))));
  const perPrompt = (value: (i: number) => number): Tensor =>
    g.from(Int32Array.from({ length: count }, (_, i) => value(i)));
  return model.pass(g, {
    ids: perPrompt(() => model.config.decoder_start_token_id!),
    positions: perPrompt(() => 0),
    length: cache.shape.capacity,
    segments: perPrompt((i) => i),
    cache: { store: cache, slotOf: perPrompt((i) => prompts[i]!.slot) },
    encoder: {
      ids: perToken((i, place) => prompts[i]!.ids[place]!),
      segments: perToken((i) => i),
      cache: { slotOf: perToken((i) => prompts[i]!.slot), positions: perToken((_, place) => place) },
    },
  });
}
