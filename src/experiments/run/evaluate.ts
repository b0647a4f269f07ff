/** What a training that is under way answers to its validation rows, and what that scores. */

import { commonPrefix } from '../../generate/prompts.js';
import type { CallAdapter } from '../../adapters/call.js';
import { figureNames, scorePredictions } from '../../eval/index.js';
import type { CausalLM } from '../../models/model.js';
import { metricOptions } from '../../tasks/index.js';
import { asTested } from '../data/held-out.js';
import { promptSet } from '../data/prompts.js';
import type { Prediction } from '../store/predictions.js';
import { answererOf, answersTo } from './predict.js';
import type { Shared, Unit } from './unit.js';

/**
 * Answers as the tuned model will answer the test rows.
 * @param adapter the one that is trained; absent: the model is
 * @returns the task's figures, by name
 */
export async function evaluateAnswers(
  { tokenizer, modelFolder }: Shared,
  { data, settings, config }: Unit,
  model: CausalLM,
  adapter: CallAdapter | undefined,
  signal: AbortSignal | undefined,
): Promise<Readonly<Record<string, number>>> {
  const { metric } = data.task;
  const args = {
    ...({
      method: 'tuned',
      data: asTested(data),
      settings,
      model,
      answerer: answererOf(model),
      tokenizer,
      modelFolder,
      adapter,
      signal,
    } as const),
    scoring: settings.scoring === 'likelihood' ? settings.scoring : ('generate' as const),
    seed: config.seed,
  };
  const { prompts } = await promptSet(args);
  const predictions: Prediction[] = [];
  for await (const prediction of answersTo(args, prompts, commonPrefix(prompts.map((p) => p.ids))))
    predictions.push(prediction);
  predictions.sort((a, b) => a.row - b.row);
  const { metrics } = scorePredictions(metric, predictions, metricOptions(settings.settings));
  return Object.fromEntries(figureNames(metric).map((name) => [name, metrics[name]!]));
}
