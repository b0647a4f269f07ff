/** The prompts of a method for a task's test rows. */

import type { ModelConfig } from '../../models/model.js';
import {
  chooseExamples,
  labelContinuationsLater,
  promptsLater,
  type Method,
  type PromptSet,
  type TokenizerLike,
} from '../../tasks/index.js';
import type { ResolvedTask } from '../config/index.js';
import type { TaskData } from './task-data.js';

export interface PromptArguments {
  readonly method: Method;
  /** Generate an answer, or take the likeliest label. */
  readonly scoring: 'generate' | 'likelihood';
  readonly data: TaskData;
  readonly settings: ResolvedTask;
  readonly model: { readonly config: Pick<ModelConfig, 'max_position_embeddings'> };
  readonly tokenizer: TokenizerLike;
  readonly seed: number;
}

/** The prompts of a method for all test rows. */
export async function promptSet(args: PromptArguments): Promise<PromptSet> {
  const { data, method, model, tokenizer, settings } = args;
  const longest =
    args.scoring === 'generate'
      ? newTokens(args)
      : (await labelContinuationsLater(data.task, method, tokenizer)).reduce(
          (most, c) => Math.max(most, c.length),
          0,
        );
  // An encoder's text and the answer have no room in common.
  const limit = model.config.max_position_embeddings - (tokenizer.decoderStartId === undefined ? longest : 0);
  const shown =
    method === 'few_shot'
      ? chooseExamples(data.task, data.examples, settings.few_shot_examples, args.seed)
      : [];
  return promptsLater(data.task, method, data.test, tokenizer, { limit, shown });
}

/** How long an answer may be. */
export function newTokens({ method, settings }: Pick<PromptArguments, 'method' | 'settings'>): number {
  return method === 'tuned'
    ? settings.generation.max_new_tokens
    : settings.generation.baseline_max_new_tokens;
}
