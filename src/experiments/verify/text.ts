/** golden/text: tokenizers' ids and texts, ROUGE and stems, scikit-learn's splits and classification figures. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { trainTestSplit } from '../../data/index.js';
import { classificationReport, rouge, stem } from '../../eval/index.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { UserError } from '../../util/errors.js';
import { readChecked } from '../../util/json.js';
import { check, maxDifference, mismatch, type Check } from './check.js';

const EXACT = 1e-9;

const tokenizerSchema = z.array(z.object({ text: z.string(), ids: z.array(z.int()), decoded: z.string() }));
const score = z.object({ precision: z.number(), recall: z.number(), fmeasure: z.number() });
const rougeSchema = z.object({
  pairs: z.array(
    z.object({
      reference: z.string(),
      prediction: z.string(),
      use_stemmer: z.boolean(),
      scores: z.object({ rouge1: score, rouge2: score, rougeL: score, rougeLsum: score }),
    }),
  ),
  stems: z.record(z.string(), z.string()),
});
const sklearnSchema = z.object({
  labels: z.array(z.union([z.string(), z.number()])),
  cases: z.array(
    z.object({
      train_size: z.number(),
      random_state: z.int(),
      train: z.array(z.int()),
      rest: z.array(z.int()),
    }),
  ),
  metrics: z.object({
    labels: z.array(z.string()),
    predictions: z.array(z.string()),
    accuracy: z.number(),
    micro_f1: z.number(),
    macro_f1: z.number(),
    precision: z.number(),
    recall: z.number(),
  }),
});

export async function* verifyText(folder: string): AsyncGenerator<Check> {
  const read = <T>(name: string, schema: z.ZodType<T>): T =>
    readChecked(join(folder, name), schema, 'fetch it again');
  for (const file of readdirSync(folder).sort()) {
    const name = /^tokenizer-(.+)\.json$/.exec(file)?.[1];
    if (name === undefined) continue;
    const home = join(folder, '..', '..', 'tokenizers', name);
    if (!existsSync(home))
      throw new UserError(`${home} does not exist: ${file} was made with the tokenizer there`);
    const tokenizer = Tokenizer.load(home);
    const texts = read(file, tokenizerSchema);
    const ids = await tokenizer.encodeBatch(texts.map((t) => t.text));
    const decoded = await tokenizer.decodeBatch(texts.map((t) => t.ids));
    const misread = texts.map((t, i) => mismatch(ids[i]!, t.ids));
    const miswritten = texts.map((t, i) => (decoded[i] === t.decoded ? 0 : 1));
    yield check(name, `ids of ${texts.length} texts`, Math.max(...misread), 0);
    yield check(name, `${texts.length} decoded texts`, Math.max(...miswritten), 0);
  }
  const { pairs, stems } = read('rouge.json', rougeSchema);
  const rougeError = pairs.map(({ reference, prediction, use_stemmer, scores }) => {
    const ours = rouge(reference, prediction, { useStemmer: use_stemmer });
    const flat = (s: typeof scores): number[] =>
      (['rouge1', 'rouge2', 'rougeL', 'rougeLsum'] as const).flatMap((t) => [
        s[t].precision,
        s[t].recall,
        s[t].fmeasure,
      ]);
    return maxDifference(flat(ours), flat(scores));
  });
  yield check('rouge', `${pairs.length} pairs`, Math.max(...rougeError), EXACT);
  const words = Object.keys(stems);
  yield check('rouge', `${words.length} stems`, mismatch(words.map(stem), Object.values(stems)), 0);
  yield* verifySklearn(read('sklearn.json', sklearnSchema));
}

function* verifySklearn({ labels, cases, metrics }: z.infer<typeof sklearnSchema>): Generator<Check> {
  const splits = cases.map((c) => {
    const { train, test } = trainTestSplit(labels.length, {
      trainSize: c.train_size,
      stratify: labels,
      randomState: c.random_state,
    });
    return Math.max(mismatch(train, c.train), mismatch(test.slice(0, c.rest.length), c.rest));
  });
  yield check('scikit-learn', `${cases.length} stratified splits`, Math.max(...splits), 0);
  const { accuracy, micro, macro } = classificationReport(metrics.labels, metrics.predictions);
  const error = maxDifference(
    [accuracy, micro.f1, macro.f1, micro.precision, micro.recall],
    [metrics.accuracy, metrics.micro_f1, metrics.macro_f1, metrics.precision, metrics.recall],
  );
  yield check('scikit-learn', 'accuracy, F1, precision, recall', error, EXACT);
}
