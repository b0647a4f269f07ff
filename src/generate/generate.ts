/**
 * Generation over a batch of prompts of different lengths. Sequences live in the slots of a key-value cache; one that is finished
 * gives its slot to the next prompt at once. On a batch-invariant backend a
 * prompt's answer is the same, bit for bit, whatever stands beside it.
 */

import { holdPairs, pairsOfCall, type CallAdapter } from '../adapters/call.js';
import type { CausalLM } from '../models/model.js';
import { throwIfAborted } from '../util/abort.js';
import { Decoder, type DecodeOptions, type Sequence } from './decode.js';
import {
  cacheFor,
  checkPrompts,
  fillPrefix,
  groupsOf,
  lengthsOf,
  prefillTokens,
  sharedTokens,
  type Prompt,
  type BatchOptions,
  type PromptGroup,
} from './prompts.js';
import { MOST_POSITIONS } from '../models/tokens.js';
import { checkNumber, checkPositive, checkSeed, checkWhole } from '../util/checks.js';

/** How prompts are answered: names and meanings are those of transformers’ GenerationConfig where it has them. */
export interface GenerateOptions extends Omit<DecodeOptions, 'pairs'>, BatchOptions {
  readonly max_new_tokens: number;
  /** Tokens that end an answer; they are not part of it. */
  readonly stopTokens: readonly number[];
  /** The adapter to answer with; null: none; absent: the one that is attached to the model when `generate` is called. */
  readonly adapter?: CallAdapter | undefined;
  /** Ends the call, within a pass too: the iterator rejects with an AbortError, and what the call took is given back. */
  readonly signal?: AbortSignal | undefined;
  /** Sees each token of an answer as it is chosen. */
  readonly onToken?: (index: number, token: number) => void;
}

/** What a model wrote for one prompt. */
export interface Answer {
  readonly index: number;
  /** New tokens, without the stop token. */
  readonly tokens: number[];
  readonly finish: 'stop' | 'length';
}

interface Growing extends Sequence {
  readonly tokens: number[];
}

/** Throws RangeError or TypeError, which names the option. */
function checkOptions(options: GenerateOptions): void {
  checkWhole('max_new_tokens', options.max_new_tokens, 1, MOST_POSITIONS);
  for (const token of options.stopTokens) checkWhole('stopTokens', token, 0);
  if (!options.do_sample) return;
  checkPositive('temperature', options.temperature);
  checkWhole('top_k', options.top_k, 0);
  checkNumber('top_p', options.top_p, 'a number above 0, 1 at most', (p) => p > 0 && p <= 1);
  checkSeed('seed', options.seed);
}

type CallOptions = GenerateOptions & Pick<DecodeOptions, 'pairs'>;

/**
 * Yields answers as they are finished, each step's in the order of the slots; those to very long prompts come last. Rejects with an
 * AbortError once `options.signal` is aborted, with a UserError for a prompt without tokens or with one that the model does not have.
 */
export function generate(
  model: CausalLM,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<Answer> {
  return answers(model, prompts, { ...options, pairs: pairsOfCall(model, options.adapter) });
}

async function* answers(
  model: CausalLM,
  prompts: readonly Prompt[],
  options: CallOptions,
): AsyncGenerator<Answer> {
  throwIfAborted(options.signal);
  checkOptions(options);
  checkPrompts(model, prompts, options, options.pairs);
  if (prompts.length === 0) return;
  const prefix = sharedTokens(model, options.sharedPrefix, lengthsOf(prompts).shortest);
  const letGo = holdPairs(options.pairs);
  try {
    for (const group of groupsOf(prompts, options.batch_size, options.max_new_tokens))
      yield* answerGroup(model, group, prefix, options);
  } finally {
    letGo();
  }
}

async function* answerGroup(
  model: CausalLM,
  { prompts, slots }: PromptGroup,
  prefix: number,
  options: CallOptions,
): AsyncGenerator<Answer> {
  const { max_new_tokens: newTokens, bf16, signal } = options;
  const cache = cacheFor(model, slots, { longest: lengthsOf(prompts).longest, newTokens, bf16 });
  const decoder = new Decoder(model, cache, options);
  try {
    if (prefix > 0) await fillPrefix(model, cache, prompts[0]!.ids.slice(0, prefix), options);
    const room = prefillTokens(model);
    const waiting = [...prompts].reverse();
    const free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
    let active: Growing[] = [];
    while (active.length > 0 || waiting.length > 0) {
      throwIfAborted(signal);
      const entering: Growing[] = [];
      for (let tokens = 0; free.length > 0 && waiting.length > 0 && tokens < room;) {
        const prompt = waiting.pop()!;
        tokens += prompt.ids.length - prefix;
        entering.push({ prompt, slot: free.pop()!, tokens: [] });
      }
      // Those that enter get their first token from their prompt, the others their next from their last.
      const stepped = entering.length > 0 ? entering : active;
      const chosen = await (entering.length > 0 ? decoder.first(stepped, prefix) : decoder.next(stepped));
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
    decoder.dispose();
    cache.dispose();
  }
}
