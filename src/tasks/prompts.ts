/** What a model is asked, in the words of the task; and which samples a few-shot prompt shows. */

import { philox4x32 } from '../util/philox.js';
import type { Method } from './methods.js';
import { encodeLater, encodeNow } from './rounds.js';
import type { TokenizerLike } from './tokenizer.js';
import type { Task } from './types.js';
import type { PromptOptions, PromptSet, Sample } from './wording.js';

/** Keeps the draws apart from those that other modules make from the same seed. */
const EXAMPLES_STREAM = 0x65786d70;

/** The prompts of `samples`, each with its row as its index. Throws UserError where the limit leaves no room for a text. */
export function promptsFor(
  task: Task,
  kind: Method,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  options: PromptOptions,
): PromptSet {
  return encodeNow(tokenizer, task.wording.prompts(kind, samples, tokenizer, options));
}

/** The same, encoded side by side. */
export function promptsLater(
  task: Task,
  kind: Method,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  options: PromptOptions,
): Promise<PromptSet> {
  return encodeLater(tokenizer, task.wording.prompts(kind, samples, tokenizer, options));
}

/**
 * Samples to show: `count` of each label, or `count` in all where the task has no labels, drawn by the seed from the shorter ones,
 * in an order drawn as well. The very shortest tenth is passed over, as it tends to say nothing.
 */
export function chooseExamples(task: Task, train: readonly Sample[], count: number, seed: number): Sample[] {
  const draw = (sample: Sample): number => philox4x32([sample.row, 0, 0, 0], [seed, EXAMPLES_STREAM])[0];
  const groups = task.labels ? [...byAnswer(train).values()] : [train];
  // Of a large data set each text is read again whenever it is looked at.
  const sizes = new Map(
    train.map((sample) => [sample, task.wording.body(sample.values).length + sample.answer.length]),
  );
  const size = (sample: Sample): number => sizes.get(sample)!;
  const chosen = groups.flatMap((group) => {
    const bySize = [...group].sort((a, b) => size(a) - size(b) || a.row - b.row);
    const first = Math.min(Math.floor(0.1 * bySize.length), Math.max(0, bySize.length - count));
    const short = bySize.slice(first, Math.max(first + count, Math.ceil(0.4 * bySize.length)));
    return short.sort((a, b) => draw(a) - draw(b) || a.row - b.row).slice(0, count);
  });
  return chosen.sort((a, b) => draw(a) - draw(b) || a.row - b.row);
}

function byAnswer(samples: readonly Sample[]): Map<string, Sample[]> {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const group = groups.get(sample.answer);
    if (group) group.push(sample);
    else groups.set(sample.answer, [sample]);
  }
  return groups;
}
