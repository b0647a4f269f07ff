/**
 * Wording by templates over columns: a prompt, and an answer behind it. A model that was not tuned is asked with an instruction (zero-shot),
 * and with examples from the training data besides (few-shot). A prompt that leaves no room for its answer is shortened by tokens and
 * counted, never cut blindly.
 */

import { UserError } from '../util/errors.js';
import { endOfSequence, NO_LOSS, open, pair, prompt, type Pair } from './encode.js';
import type { Method } from './methods.js';
import { sideBySide, type Encoding } from './rounds.js';
import { cellText, rowNumber } from './sample.js';
import { shorten } from './shorten.js';
import { render, type Template } from './template.js';
import type { TokenizerLike } from './tokenizer.js';
import type {
  PromptOptions,
  PromptSet,
  Sample,
  TrainingExample,
  TrainingTextOptions,
  Wording,
} from './wording.js';

/** The templates of a task. */
export interface Templates {
  /** What a model is tuned on, up to the answer. */
  readonly prompt: Template;
  /** The answer, made of the row's columns. */
  readonly completion: Template;
  /** The column whose text is shortened where a prompt is too long. */
  readonly body: string;
  /** How a model that was not tuned is asked. */
  readonly baseline: {
    readonly zeroShotInstruction: string;
    readonly fewShotInstruction: string;
    /** Shows the sample, up to the answer. */
    readonly query: Template;
  };
}

export function byTemplates(task: Templates): Wording {
  const { prompt, completion, body } = task;
  const names = [...prompt.columns, ...completion.columns];
  return {
    values: (cells) => Object.fromEntries(names.map((name) => [name, cellText(cells, name)])),
    answer: (values) => render(completion, values),
    compared: (values) => [...new Set(prompt.columns)].map((column) => values[column]!).join('\n'),
    body: (values) => values[body]!,
    example: (...args) => example(task, ...args),
    prompts: (...args) => promptSet(task, ...args),
    asText: {
      prompt: (values) => render(prompt, values),
      blank(kind) {
        const template = kind === 'tuned' ? prompt : task.baseline.query;
        return render(template, Object.fromEntries(template.columns.map((column) => [column, 'a'])));
      },
    },
    shortened: 'training texts were shortened to',
  };
}

function* example(
  task: Templates,
  sample: Sample,
  tokenizer: TokenizerLike,
  { max_length = Infinity, completion_only_loss }: TrainingTextOptions,
): Encoding<TrainingExample> {
  const eos = endOfSequence(tokenizer);
  const encode = (body: string): Encoding<Pair> =>
    pair(tokenizer, render(task.prompt, { ...sample.values, [task.body]: body }), sample.answer);
  const body = sample.values[task.body]!;
  const { decoderStartId: start } = tokenizer;
  const cut = yield* shorten(body, max_length, function* (text) {
    const { prompt, answer } = yield* encode(text);
    const written = answer.length + 1;
    return start === undefined ? prompt.length + written : Math.max(prompt.length, 1 + written);
  });
  if (cut === undefined) {
    throw new UserError(
      `row ${rowNumber(sample)}: its prompt and answer are longer than max_length ${max_length} tokens even without ` +
        `its ${task.body}; raise training.max_length or leave the row out`,
    );
  }
  const { prompt, answer } = yield* encode(cut);
  if (start !== undefined) {
    const written = [...answer, eos];
    return {
      encoderIds: prompt,
      ids: [start, ...written],
      labels: [NO_LOSS, ...written],
      row: sample.row,
      shortened: cut !== body,
    };
  }
  const ids = [...prompt, ...answer, eos];
  const labels = completion_only_loss ? ids.map((id, i) => (i < prompt.length ? NO_LOSS : id)) : [...ids];
  return { ids, labels, row: sample.row, shortened: cut !== body };
}

/** An example cut below this says nothing. */
const LEAST_EXAMPLE_TOKENS = 8;

function* promptSet(
  task: Templates,
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
          `row ${rowNumber(sample)}: the ${kind} prompt has no room within ${limit} tokens even without its ${task.body}; ` +
            'lower max_new_tokens, or take a model with a longer context',
        );
      }
      return { index: sample.row, ids: yield* ask(cut), shortened: cut !== body };
    }),
  );
  return { prompts, shortened: prompts.filter((p) => p.shortened).length, examples };
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
  task: Templates,
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
    const [encoded] = yield [{ text, special: true }];
    return open(tokenizer, encoded!.ids).length;
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
function queryText(task: Templates, kind: Method, values: Readonly<Record<string, string>>): string {
  if (kind === 'tuned') return render(task.prompt, values);
  const quoted = Object.entries(values).map(([column, text]) => [column, text.replaceAll('```', "'''")]);
  return render(task.baseline.query, Object.fromEntries(quoted) as Record<string, string>);
}
