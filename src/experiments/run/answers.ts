/** Answering a task's test rows by one method, and what that scored. */

import { join } from 'node:path';
import { readModelJson } from '../../models/config.js';
import type { CausalLM } from '../../models/model.js';
import { unpackWeights } from '../../models/unpacked.js';
import { metricOptions, type Method } from '../../tasks/index.js';
import { writeFileAtomic } from '../../util/atomic.js';
import { roomBeside, roomOf } from '../plan/fit.js';
import { planAnswers } from '../plan/index.js';
import type { ResolvedTask } from '../config/index.js';
import { likeliest, predict } from './predict.js';
import type { Prediction } from '../store/predictions.js';
import type { MethodResult } from '../store/results.js';
import { scorePredictions, unreadNote, type Score } from '../../eval/index.js';
import type { Shared, Unit } from './unit.js';

/** Answers and scores, with as many weights unpacked as memory allows. Undefined when the signal came first. */
export async function answer(
  shared: Shared,
  unit: Unit,
  model: CausalLM,
  method: Method,
): Promise<MethodResult | undefined> {
  const unpacked = unpackWeights(model, await roomToUnpack(shared, unit, method));
  try {
    return await answerAndScore(shared, unit, model, method);
  } finally {
    unpacked.dispose();
  }
}

/** Bytes for unpacked weights beside the answers of a method. */
async function roomToUnpack(
  { backend, tokenizer, modelFolder }: Shared,
  { config, settings, data }: Unit,
  method: Method,
): Promise<number> {
  if (config.weights.quantization === undefined) return 0;
  const shape = readModelJson(join(modelFolder, 'config.json'));
  const { peak } = await planAnswers(config, settings, data, tokenizer, shape, method, backend);
  return roomBeside(peak, backend, roomOf(backend));
}

async function answerAndScore(
  { emit, signal, tokenizer, modelFolder }: Shared,
  { run, config, settings, folder, data }: Unit,
  model: CausalLM,
  method: Method,
): Promise<MethodResult | undefined> {
  const about = { run, task: settings.name };
  const started = performance.now();
  const scores: Partial<Record<'generate' | 'likelihood', Score>> = {};
  /** Both ways of scoring shorten the same prompts: it is told once. */
  const told = new Set<string>();
  let otherwise: Readonly<Record<string, number>> = {};
  emit({ type: 'stage', ...about, stage: method, done: 0, total: data.test.length });
  for (const scoring of settings.scoring === 'both'
    ? (['generate', 'likelihood'] as const)
    : [settings.scoring]) {
    const predictions = await predict({
      ...{ method, scoring, data, settings, model, tokenizer, modelFolder, signal },
      seed: config.seed,
      folder,
      onAnswer: (done, total) => emit({ type: 'answers', ...about, stage: method, done, total }),
      onNotice: (text) => {
        if (!told.has(text)) emit({ type: 'notice', ...about, text });
        told.add(text);
      },
    });
    if (!predictions) return undefined;
    const score = scorePredictions(data.task.metric, predictions, metricOptions(settings.settings));
    scores[scoring] = score;
    if (scoring === 'likelihood') otherwise = otherAccuracy(settings, data.task.labels!, predictions);
    if (score.unread !== undefined)
      emit({ type: 'notice', ...about, text: unreadNote(score.unread, predictions.length) });
  }
  const main = scores.generate ?? scores.likelihood!;
  const other = scores.likelihood;
  writeFileAtomic(join(folder, `scores-${method}.json`), JSON.stringify(scores, null, 2) + '\n');
  return {
    method,
    metrics: {
      ...main.metrics,
      ...(other && { likelihood_accuracy: other.metrics['accuracy']! }),
      ...otherwise,
    },
    intervals: { ...main.intervals, ...(other && { likelihood_accuracy: other.intervals['accuracy']! }) },
    rows: data.test.length,
    unanswered: main.unanswered,
    ...(main.unread !== undefined && { unread: main.unread }),
    seconds: (performance.now() - started) / 1000,
  };
}

/** The accuracy by likelihood as the setting does not have it, under the name of how it is. */
function otherAccuracy(
  { likelihood_normalization }: ResolvedTask,
  labels: readonly string[],
  predictions: readonly Prediction[],
): Record<string, number> {
  const [name, by] =
    likelihood_normalization === 'length'
      ? (['likelihood_accuracy_sum', 'log_likelihoods'] as const)
      : (['likelihood_accuracy_norm', 'normalized_log_likelihoods'] as const);
  const hits = predictions.filter((p) => likeliest(labels, p[by] ?? []) === p.reference).length;
  return { [name]: hits / predictions.length };
}
