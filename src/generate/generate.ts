/** Answers to a list of prompts of different lengths, by a session for all that share one size of slots. */

import { holdPairs, pairsOfCall, type CallAdapter } from '../adapters/call.js';
import type { AdapterPairs } from '../ops/pass.js';
import type { CausalLM } from '../models/model.js';
import { throwIfAborted } from '../util/abort.js';
import { filled, type Some } from '../util/defaults.js';
import {
  BATCH_SIZE,
  checkPrompts,
  lengthsOf,
  promptGroups,
  sharedTokens,
  type BatchOptions,
  type Prompt,
  type PromptGroup,
} from './prompts.js';
import { checkSampling, SAMPLING_DEFAULTS, type SamplingOptions } from './sampler.js';
import { checkEnd, Session, type Answer, type AnswerEnd } from './session.js';

/** How prompts are answered: names and meanings are those of transformers’ GenerationConfig where it has them. */
export interface GenerateOptions extends Some<SamplingOptions>, AnswerEnd, BatchOptions {
  /** Run in bf16 precision (`GraphOptions.precision`). */
  readonly bf16?: boolean | undefined;
  /** The adapter to answer with; null: none; absent: the one that is attached to the model when `generate` is called. */
  readonly adapter?: CallAdapter | undefined;
  /** Ends the call, within a pass too: the iterator rejects with an AbortError, and what the call took is given back. */
  readonly signal?: AbortSignal | undefined;
  /** Sees each token of an answer as it is chosen. */
  readonly onToken?: (index: number, token: number) => void;
}

/**
 * Yields answers as they are finished, each step's in the order of the slots; those to very long prompts come last. Greedy, 16 at once,
 * where the options say nothing. Rejects with an AbortError once `options.signal` is aborted, with a UserError for a prompt without
 * tokens or with one that the model does not have.
 */
export function generate(
  model: CausalLM,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<Answer> {
  const pairs = pairsOfCall(model, options.adapter);
  return answers(model, prompts, pairs, { ...options, ...filled(SAMPLING_DEFAULTS, options) });
}

async function* answers(
  model: CausalLM,
  prompts: readonly Prompt[],
  pairs: AdapterPairs,
  options: GenerateOptions & SamplingOptions,
): AsyncGenerator<Answer> {
  throwIfAborted(options.signal);
  checkEnd(options);
  checkSampling(options);
  checkPrompts(model, prompts, options, pairs);
  if (prompts.length === 0) return;
  const prefix = sharedTokens(model, options.sharedPrefix, lengthsOf(prompts).shortest);
  const letGo = holdPairs(pairs);
  try {
    for (const group of promptGroups(prompts, options.batch_size ?? BATCH_SIZE, options.max_new_tokens))
      yield* answerGroup(model, group, prefix, { ...options, adapter: { pairs } });
  } finally {
    letGo();
  }
}

async function* answerGroup(
  model: CausalLM,
  { prompts, slots }: PromptGroup,
  prefix: number,
  options: GenerateOptions & SamplingOptions,
): AsyncGenerator<Answer> {
  const { max_new_tokens, stopTokens, endsWith, adapter, bf16, onToken } = options;
  const session = new Session(model, {
    ...{ slots, longest: lengthsOf(prompts).longest, newTokens: max_new_tokens, bf16 },
    prefix: prompts[0]!.ids.slice(0, prefix),
  });
  // A consumer that goes away ends the pass that is under way, too.
  const end = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, end.signal]) : end.signal;
  try {
    const finished = new Arrivals<Answer>();
    for (const { index, ids } of prompts)
      finished.add(
        session.submit({
          ...{ index, ids, max_new_tokens, stopTokens, endsWith, sampling: options, adapter, signal },
          onToken: onToken && ((token) => onToken(index, token)),
        }),
      );
    yield* finished;
  } finally {
    end.abort();
    await session.close();
  }
}

/** What promises give, as they are fulfilled; ends with the first that is rejected. */
class Arrivals<T> {
  private readonly arrived: T[] = [];
  private left = 0;
  private failure: { readonly error: unknown } | undefined;
  private wake: (() => void) | undefined;

  add(promise: Promise<T>): void {
    this.left++;
    promise
      .then(
        (value) => void this.arrived.push(value),
        (error: unknown) => (this.failure ??= { error }),
      )
      .finally(() => this.wake?.());
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (; this.left > 0; this.left--) {
      while (this.arrived.length === 0) {
        if (this.failure) throw this.failure.error;
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
      yield this.arrived.shift()!;
    }
  }
}
