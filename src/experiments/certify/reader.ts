/** Who runs a model for a certificate: one of ours, or another program that reads the exported file. */

import { pairsOfCall } from '../../adapters/call.js';
import { unpacked } from '../../data/index.js';
import type { GenerateOptions } from '../../generate/generate.js';
import { inferencePass, type Prompt } from '../../generate/prompts.js';
import type { Scores } from '../../generate/score.js';
import type { Answer } from '../../generate/session.js';
import type { CausalLM } from '../../models/model.js';
import { linear } from '../../ops/linear.js';
import type { TrainingExample } from '../../tasks/index.js';
import { flatten, modelInput } from '../../train/batch.js';
import { abortable, throwIfAborted } from '../../util/abort.js';
import { inTurns } from '../../util/turns.js';
import { answererOf, type Answerer } from '../run/predict.js';
import type { ReaderName } from '../store/certificate.js';
import { toLogProbabilities } from './compare.js';
import type { PromptText } from './cuts.js';

/** A model that is read from somewhere, for answers and for what it thinks of texts. */
export interface Reader extends Answerer {
  readonly about: ReaderName;
  /** Of each token of a text that is trained on, in their order: logarithms of the probabilities of all tokens in its place, [vocabulary]. */
  probabilities(text: TrainingExample): AsyncIterable<Float32Array>;
  /** A text's tokens by the file's own tokenizer. Absent: it has none. */
  cut?(text: PromptText): Promise<readonly number[]>;
  /** Frees what it holds. */
  close(): Promise<void>;
}

/** Places of a text whose logits are there at once. */
const TOGETHER = 32;

/** A model of ours, with what is attached to it; whoever loaded it frees it by `dispose`. */
export function readerOfModel(
  model: CausalLM,
  about: ReaderName,
  { bf16, signal, dispose }: { bf16: boolean; signal: AbortSignal | undefined; dispose: () => void },
): Reader {
  return {
    about,
    ...answererOf(model),
    async *probabilities(text) {
      const length = Math.max(text.ids.length, text.encoderIds?.length ?? 0);
      const batch = flatten(unpacked([text], { length }));
      const wanted = [...batch.targets.keys()].filter((row) => batch.targets[row]! >= 0);
      const shares = [{ pairs: pairsOfCall(model, undefined) }];
      const g = inferencePass(model, bf16, shares);
      const ask = <T>(body: () => T): T => abortable(model.backend, signal, body);
      try {
        const rows = ask(() => g.from(Int32Array.from(wanted)));
        const hidden = await inTurns(model.pass(g, { ...modelInput(g, batch), wanted: rows }), ask);
        const size = hidden.shape.at(-1)!;
        for (let first = 0; first < wanted.length; first += TOGETHER) {
          const count = Math.min(TOGETHER, wanted.length - first);
          const inner = inferencePass(model, bf16, shares);
          let numbers: Float32Array;
          try {
            const part = inner.own(hidden.view([count, size], first * size));
            numbers = await ask(() => linear(inner, part, model.head, { output: 'f32' })).toFloat32();
            throwIfAborted(signal);
          } finally {
            inner.close();
          }
          const vocab = numbers.length / count;
          for (let i = 0; i < count; i++) yield toLogProbabilities(numbers.slice(i * vocab, (i + 1) * vocab));
        }
      } finally {
        g.close();
      }
    },
    close: () => {
      dispose();
      return Promise.resolve();
    },
  };
}

/** Another program that has read the exported file. */
export interface Program {
  readonly about: ReaderName;
  /** Greedy tokens behind a prompt, up to `count`, or to one of `stopTokens`, which is the last then. */
  greedy(ids: readonly number[], count: number, stopTokens: readonly number[]): Promise<readonly number[]>;
  /** A text's tokens by the file's own tokenizer. */
  cut(text: PromptText): Promise<readonly number[]>;
  /** Of each of these places of a text, from 1: logarithms of the probabilities of all tokens behind those before it, [vocabulary]. */
  probabilities(ids: readonly number[], places: readonly number[]): AsyncIterable<Float32Array>;
  close(): Promise<void>;
}

/** The same interface over another program. It has no encoder, and takes the likeliest tokens alone. */
export function readerOfProgram(program: Program): Reader {
  const { about } = program;
  return {
    about,
    async *generate(prompts, options) {
      for (const prompt of prompts) yield await answered(program, prompt, options);
    },
    async *scoreContinuations(prompts, continuations): AsyncGenerator<Scores> {
      for (const { index, ids } of prompts) {
        const logLikelihoods: number[] = [];
        for (const tokens of continuations) {
          const places = tokens.map((_, i) => ids.length + i);
          let [sum, at] = [0, 0];
          for await (const one of program.probabilities([...ids, ...tokens], places))
            sum += one[tokens[at++]!]!;
          logLikelihoods.push(sum);
        }
        yield { index, logLikelihoods };
      }
    },
    probabilities({ ids, labels }) {
      const places = [...labels.keys()].filter((place) => place > 0 && labels[place]! >= 0);
      return program.probabilities(ids, places);
    },
    cut: (text) => program.cut(text),
    close: () => program.close(),
  };
}

async function answered(
  program: Program,
  { index, ids }: Prompt,
  { max_new_tokens, stopTokens, endsWith, signal }: GenerateOptions,
): Promise<Answer> {
  throwIfAborted(signal);
  const tokens = [...(await program.greedy(ids, max_new_tokens, stopTokens))];
  const stopped = stopTokens.includes(tokens.at(-1)!);
  if (stopped) tokens.pop();
  for (let length = 1; endsWith && length <= tokens.length; length++)
    if (endsWith(tokens.slice(0, length))) return { index, tokens: tokens.slice(0, length), finish: 'stop' };
  return { index, tokens, finish: stopped ? 'stop' : 'length' };
}
