/** Answering the test rows by one method, each answer written as it comes; a resumed run answers only what is missing. */

import { generate } from '../../generate/generate.js';
import { commonPrefix, type Prompt } from '../../generate/prompts.js';
import { scoreContinuations } from '../../generate/score.js';
import type { CausalLM, ModelConfig } from '../../models/model.js';
import {
  chooseExamples,
  labelContinuationsLater,
  parseAnswer,
  promptsLater,
  type PromptKind,
  type PromptSet,
} from '../../tasks/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import type { ResolvedTask } from '../config/index.js';
import { isAbort } from '../../util/abort.js';
import { readRecords, RecordWriter } from '../store/records.js';
import { predictionSchema } from '../store/schemas.js';
import type { TaskData } from '../data/task-data.js';

export interface Prediction {
  /** The row's number in the test file, from 0. */
  readonly row: number;
  readonly reference: string;
  /** Null: the model gave no answer that counts. */
  readonly answer: string | null;
  /** Generated: what it wrote, in how many tokens, and what ended it. */
  readonly text?: string;
  readonly tokens?: number;
  readonly finish?: 'stop' | 'length';
  /** Scored: the natural log-likelihood of each label, in the labels' order, and that for each of the label's characters. */
  readonly log_likelihoods?: readonly number[];
  readonly normalized_log_likelihoods?: readonly number[];
}

export interface PromptArguments {
  readonly method: PromptKind;
  /** Generate an answer, or take the likeliest label. */
  readonly scoring: 'generate' | 'likelihood';
  readonly data: TaskData;
  readonly settings: ResolvedTask;
  readonly model: { readonly config: Pick<ModelConfig, 'max_position_embeddings'> };
  readonly tokenizer: Tokenizer;
  readonly seed: number;
}

export interface PredictArguments extends PromptArguments {
  readonly model: CausalLM;
  readonly stops: readonly number[];
  /** Where the predictions go, as JSON lines. */
  readonly path: string;
  readonly onAnswer: (done: number, total: number) => void;
  readonly onNotice: (text: string) => void;
  readonly signal: AbortSignal;
}

/** @returns all predictions in the order of the test rows, or undefined when the signal came first */
export async function predict(args: PredictArguments): Promise<Prediction[] | undefined> {
  const { data, path, signal } = args;
  const done = new Map(readRecords<Prediction>(path, predictionSchema).map((p) => [p.row, p]));
  const missing = data.test.filter((s) => !done.has(s.row));
  args.onAnswer(done.size, data.test.length);
  if (missing.length > 0) {
    // Prompts are made for all rows, that their shared beginning is the same for a resumed run.
    const set = await promptSet(args);
    if (done.size === 0) for (const notice of notices(set, args.method)) args.onNotice(notice);
    const prompts = set.prompts.filter((p) => !done.has(p.index));
    const sharedPrefix = commonPrefix(set.prompts.map((p) => p.ids));
    const writer = new RecordWriter<Prediction>(path);
    try {
      for await (const prediction of answers(args, prompts, sharedPrefix)) {
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

async function* answers(
  args: PredictArguments,
  prompts: readonly Prompt[],
  sharedPrefix: number,
): AsyncGenerator<Prediction> {
  const { data, settings, model, tokenizer, signal } = args;
  const { task } = data;
  const references = new Map(data.test.map((s) => [s.row, s.answer]));
  const lastTokens = new Map(prompts.map(({ index, ids }) => [index, ids.at(-1)]));
  const { batch_size } = settings.generation;
  const { bf16 } = settings.training;
  if (args.scoring === 'likelihood') {
    const continuations = await labelContinuationsLater(task, args.method, tokenizer);
    const lengths = task.labels!.map((label) => Array.from(label).length);
    for await (const { index, logLikelihoods } of scoreContinuations(model, prompts, continuations, {
      batch_size,
      sharedPrefix,
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
  const options = {
    ...settings.generation,
    max_new_tokens: newTokens(args),
    stopTokens: args.stops,
    sharedPrefix,
    bf16,
    signal,
  };
  for await (const { index, tokens, finish } of generate(model, prompts, options)) {
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

function notices({ prompts, shortened, examples }: PromptSet, method: PromptKind): string[] {
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
