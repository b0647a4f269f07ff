/** Answering the test rows by one method, each answer written as it comes; a resumed run answers only what is missing. */

import type { CallAdapter } from '../../adapters/call.js';
import { generate, type GenerateOptions } from '../../generate/generate.js';
import { commonPrefix, type Prompt } from '../../generate/prompts.js';
import { scoreContinuations, type LikelihoodOptions, type Scores } from '../../generate/score.js';
import type { Answer } from '../../generate/session.js';
import { stopTokens } from '../../generate/stop-tokens.js';
import type { CausalLM } from '../../models/model.js';
import {
  answerEnd,
  labelContinuationsLater,
  parseAnswer,
  type Method,
  type PromptSet,
} from '../../tasks/index.js';
import { isAbort } from '../../util/abort.js';
import { newTokens, promptSet, type PromptArguments } from '../data/prompts.js';
import type { Prediction } from '../store/predictions.js';
import { TASK_FILES } from '../store/layout.js';

/** Who answers, as `generate` and `scoreContinuations` do. */
export interface Answerer {
  generate(prompts: readonly Prompt[], options: GenerateOptions): AsyncIterable<Answer>;
  scoreContinuations(
    prompts: readonly Prompt[],
    continuations: readonly (readonly number[])[],
    options: LikelihoodOptions,
  ): AsyncIterable<Scores>;
}

/** A model's own answers. */
export function answererOf(model: CausalLM): Answerer {
  return {
    generate: (prompts, options) => generate(model, prompts, options),
    scoreContinuations: (prompts, continuations, options) =>
      scoreContinuations(model, prompts, continuations, options),
  };
}

interface AskArguments extends Omit<PromptArguments, 'model'> {
  readonly answerer: Answerer;
  /** Absent: what is attached to the model. */
  readonly adapter?: CallAdapter | undefined;
  /** Whose files say what ends an answer, beside the task. */
  readonly modelFolder: string;
  readonly signal: AbortSignal | undefined;
}

export interface PredictArguments extends Omit<AskArguments, 'answerer'> {
  readonly model: CausalLM;
  /** The task's folder, where the predictions go. */
  readonly folder: string;
  readonly onAnswer: (done: number, total: number) => void;
  readonly onNotice: (text: string) => void;
  readonly signal: AbortSignal;
}

/** @returns all predictions in the order of the test rows, or undefined when the signal came first */
export async function predict(args: PredictArguments): Promise<Prediction[] | undefined> {
  const { data, folder, signal } = args;
  const file = TASK_FILES.predictions(args.method, args.scoring);
  const done = new Map(file.read(folder).map((p) => [p.row, p]));
  const missing = data.test.filter((s) => !done.has(s.row));
  args.onAnswer(done.size, data.test.length);
  if (missing.length > 0) {
    // Prompts are made for all rows, that their shared beginning is the same for a resumed run.
    const set = await promptSet(args);
    if (done.size === 0) for (const notice of notices(set, args.method)) args.onNotice(notice);
    const prompts = set.prompts.filter((p) => !done.has(p.index));
    const sharedPrefix = commonPrefix(set.prompts.map((p) => p.ids));
    const writer = file.writer(folder);
    try {
      const asked = { ...args, answerer: answererOf(args.model) };
      for await (const prediction of answersTo(asked, prompts, sharedPrefix)) {
        writer.append(prediction);
        done.set(prediction.row, prediction);
        args.onAnswer(done.size, data.test.length);
      }
    } catch (error) {
      // What is written stands; a resumed run asks for the rest.
      if (!isAbort(error, signal)) throw error;
    }
    if (signal.aborted && done.size < data.test.length) return undefined;
  }
  return data.test.map((s) => done.get(s.row)!);
}

/** The answers to `prompts`, as they come. */
export async function* answersTo(
  args: AskArguments,
  prompts: readonly Prompt[],
  sharedPrefix: number,
): AsyncGenerator<Prediction> {
  const { data, settings, answerer, tokenizer, adapter, signal } = args;
  const { task } = data;
  const references = new Map(data.test.map((s) => [s.row, s.answer]));
  const lastTokens = new Map(prompts.map(({ index, ids }) => [index, ids.at(-1)]));
  const { batch_size } = settings.generation;
  const { bf16 } = settings.training;
  if (args.scoring === 'likelihood') {
    const continuations = await labelContinuationsLater(task, args.method, tokenizer);
    const lengths = task.labels!.map((label) => Array.from(label).length);
    for await (const { index, logLikelihoods } of answerer.scoreContinuations(prompts, continuations, {
      batch_size,
      sharedPrefix,
      adapter,
      signal,
      bf16,
    })) {
      const normalized = logLikelihoods.map((value, i) => value / lengths[i]!);
      const shown = settings.likelihood_normalization === 'length' ? normalized : logLikelihoods;
      yield {
        row: index,
        reference: references.get(index)!,
        answer: likeliest(task.labels!, shown),
        log_likelihoods: logLikelihoods,
        normalized_log_likelihoods: normalized,
      };
    }
    return;
  }
  const end = answerEnd(task, tokenizer);
  const options = {
    ...settings.generation,
    max_new_tokens: newTokens(args),
    stopTokens: [...stopTokens(args.modelFolder, tokenizer.eosId), ...end.stopTokens],
    endsWith: end.endsWith,
    sharedPrefix,
    bf16,
    adapter,
    signal,
  };
  for await (const { index, tokens, finish } of answerer.generate(prompts, options)) {
    const reference = references.get(index)!;
    // An encoder reads the prompt: the decoder's answer stands behind nothing.
    const behind = tokenizer.decoderStartId === undefined ? lastTokens.get(index) : undefined;
    const { text, answer } = parseAnswer(task, tokens, tokenizer, { method: args.method, reference, behind });
    yield { row: index, reference, answer, text, tokens: tokens.length, finish };
  }
}

/** The label of the highest value, the first of equal ones; null where the values are no numbers. */
export function likeliest(labels: readonly string[], values: readonly number[]): string | null {
  let best = -1;
  for (const [i, value] of values.entries())
    if (best < 0 ? value >= -Infinity : value > values[best]!) best = i;
  return labels[best] ?? null;
}

function notices({ prompts, shortened, examples }: PromptSet, method: Method): string[] {
  const out: string[] = [];
  if (shortened > 0)
    out.push(`${method}: ${shortened} of ${prompts.length} prompts were shortened to the model's context`);
  if (examples.shortened > 0 || examples.dropped > 0) {
    out.push(
      `${method}: of the examples in each prompt ${examples.shortened} were shortened and ${examples.dropped} had no room`,
    );
  }
  return out;
}
