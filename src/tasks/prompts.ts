/**
 * What a model is asked: tuned, in the words it was tuned with; not tuned, with an instruction (zero-shot) and with examples from the
 * training data besides (few-shot). A prompt that leaves no room for its answer is shortened by tokens and counted, never cut blindly.
 */

import { UserError } from '../util/errors.js';
import { philox4x32 } from '../util/philox.js';
import { open, prompt } from './encode.js';
import type { Method } from './methods.js';
import { encodeLater, encodeNow, sideBySide, type Encoding } from './rounds.js';
import { shorten } from './shorten.js';
import { render } from './template.js';
import type { Sample, Task, TokenizerLike } from './types.js';

/** What prompts are made with. */
export interface PromptOptions {
  /** Tokens of a prompt at most: the model's context less the new tokens. */
  readonly limit: number;
  /** For few_shot: the samples to show, of the training data. */
  readonly shown?: readonly Sample[];
}

/** The prompts of some samples. */
export interface PromptSet {
  readonly prompts: readonly {
    readonly index: number;
    readonly ids: number[];
    readonly shortened: boolean;
  }[];
  /** Prompts whose body was cut. */
  readonly shortened: number;
  /** For few_shot: how many examples stand in each prompt, how many were cut and how many had no room. */
  readonly examples: { readonly shown: number; readonly shortened: number; readonly dropped: number };
}

/** An example cut below this says nothing. */
const LEAST_EXAMPLE_TOKENS = 8;

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
  return encodeNow(tokenizer, promptSet(task, kind, samples, tokenizer, options));
}

/** The same, encoded side by side. */
export function promptsLater(
  task: Task,
  kind: Method,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  options: PromptOptions,
): Promise<PromptSet> {
  return encodeLater(tokenizer, promptSet(task, kind, samples, tokenizer, options));
}

function* promptSet(
  task: Task,
  kind: Method,
  samples: readonly Sample[],
  tokenizer: TokenizerLike,
  { limit, shown = [] }: PromptOptions,
): Encoding<PromptSet> {
  const { text: head, ...examples } = yield* headOf(task, kind, shown, tokenizer, limit);
  const prompts = yield* sideBySide(
    samples.map(function* (sample) {
      const ask = (body: string): Encoding<number[]> =>
        prompt(tokenizer, head + queryText(task, kind, { ...sample.values, [task.body]: body }));
      const body = sample.values[task.body]!;
      const cut = yield* shorten(body, limit, function* (text) {
        return (yield* ask(text)).length;
      });
      if (cut === undefined) {
        throw new UserError(
          `row ${sample.row + 1}: the ${kind} prompt has no room within ${limit} tokens even without its ${task.body}; ` +
            'lower max_new_tokens, or take a model with a longer context',
        );
      }
      return { index: sample.row, ids: yield* ask(cut), shortened: cut !== body };
    }),
  );
  return { prompts, shortened: prompts.filter((p) => p.shortened).length, examples };
}

/**
 * Samples to show: `count` of each label, or `count` in all where the task has no labels, drawn by the seed from the shorter ones,
 * in an order drawn as well. The very shortest tenth is passed over, as it tends to say nothing.
 */
export function chooseExamples(task: Task, train: readonly Sample[], count: number, seed: number): Sample[] {
  const draw = (sample: Sample): number => philox4x32([sample.row, 0, 0, 0], [seed, EXAMPLES_STREAM])[0];
  const groups = task.labels ? [...byAnswer(train).values()] : [train];
  const size = (sample: Sample): number => sample.values[task.body]!.length + sample.answer.length;
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

interface Head {
  readonly text: string;
  readonly shown: number;
  readonly shortened: number;
  readonly dropped: number;
}

/**
 * What stands before the text that is asked about, the same for every prompt, so that a model need read it only once. Examples get half
 * of the limit at most: each is cut to an equal share, and where a share would say nothing, there are fewer.
 */
function* headOf(
  task: Task,
  kind: Method,
  shown: readonly Sample[],
  tokenizer: TokenizerLike,
  limit: number,
): Encoding<Head> {
  const { zeroShotInstruction, fewShotInstruction } = task.baseline;
  if (kind === 'tuned') return { text: '', shown: 0, shortened: 0, dropped: 0 };
  if (kind === 'zero_shot')
    return { text: paragraph(zeroShotInstruction), shown: 0, shortened: 0, dropped: 0 };

  const textOf = (samples: readonly Sample[], bodies: readonly string[]): string => {
    const examples = samples.map(({ values, answer }, i) =>
      paragraph(queryText(task, kind, { ...values, [task.body]: bodies[i]! }) + answer),
    );
    return paragraph(fewShotInstruction) + examples.join('');
  };
  const tokensOf = function* (text: string): Encoding<number> {
    const [ids] = yield [{ text, special: true }];
    return open(tokenizer, ids!).length;
  };
  const bodies = shown.map((sample) => sample.values[task.body]!);
  const room = Math.floor(limit / 2);
  const whole = textOf(shown, bodies);
  if ((yield* tokensOf(whole)) <= room) return { text: whole, shown: shown.length, shortened: 0, dropped: 0 };

  for (let n = shown.length; n > 0; n--) {
    const samples = shown.slice(0, n);
    const bare = yield* tokensOf(textOf(samples, Array<string>(n).fill('')));
    const share = Math.floor((room - bare) / n);
    if (share < LEAST_EXAMPLE_TOKENS) continue;
    const cut = (yield* sideBySide(samples.map((_, i) => shorten(bodies[i]!, share, tokensOf)))) as string[];
    const shortened = cut.filter((body, i) => body !== bodies[i]).length;
    return { text: textOf(samples, cut), shown: n, shortened, dropped: shown.length - n };
  }
  throw new UserError(
    `the few_shot prompt: half of ${limit} tokens has no room for a single example beside the instruction; ` +
      `leave few_shot out of 'baselines', or take a model with a longer context`,
  );
}

function paragraph(text: string): string {
  return text === '' ? '' : `${text}\n\n`;
}

/** The question about one sample, up to the answer. A baseline's texts may not close the backticks that delimit them. */
function queryText(task: Task, kind: Method, values: Readonly<Record<string, string>>): string {
  if (kind === 'tuned') return render(task.prompt, values);
  const quoted = Object.entries(values).map(([column, text]) => [column, text.replaceAll('```', "'''")]);
  return render(task.baseline.query, Object.fromEntries(quoted) as Record<string, string>);
}
