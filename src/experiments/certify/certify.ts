/**
 * The certificate of an exported file: it is run again on test rows of the run that it is of, beside the adapter over its base as the run
 * evaluated them. Prompts, the ends of answers and figures are the run's own.
 */

import { join } from 'node:path';
import { commonPrefix, type Prompt } from '../../generate/prompts.js';
import { loadModel } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { encodedExamples, type TrainingExample } from '../../tasks/index.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { throwIfAborted } from '../../util/abort.js';
import { version } from '../../util/version.js';
import { newTokens, promptSet } from '../data/prompts.js';
import { textOptions } from '../data/training-blocks.js';
import { answersTo } from '../run/predict.js';
import { loadTuned } from '../run/trained.js';
import type { Certificate, CertifiedPrompts, CertifiedRow, ExportedFile } from '../store/certificate.js';
import type { AnsweredBy, Prediction } from '../store/predictions.js';
import { comparedCuts, keeping, type AskedTexts } from './cuts.js';
import { NO_PLACES, withPlace, type Differences } from './compare.js';
import type { Certifying } from './prepare.js';
import { readerOfModel, type Reader } from './reader.js';
import type { ReaderOrder } from './readers.js';
import { certificateOf } from './summary.js';

/** The exported file, and how it is read. */
export interface Exported {
  readonly file: ExportedFile;
  readonly open: (asked: Pick<ReaderOrder, 'context' | 'encoder'>) => Promise<Reader>;
}

/** Told of each row as it is answered by the one, by the other, and compared: three times a row. */
export type OnCertified = (done: number, total: number) => void;

/** Runs both and compares. Rejects with an AbortError once the order's signal is aborted. */
export async function certify(
  certifying: Certifying,
  { file, open }: Exported,
  onCertified: OnCertified = () => undefined,
): Promise<Certificate> {
  const { data, signal } = certifying;
  const total = 3 * data.test.length;
  let done = 0;
  const tell = (): void => onCertified(++done, total);
  const evaluated = await evaluatedReader(certifying);
  let exported: Reader | undefined;
  try {
    const asked = await questionsOf(certifying, evaluated.context);
    exported = await open({ context: asked.context, encoder: asked.tokenizer.decoderStartId !== undefined });
    const mine = await answersOf(certifying, asked, evaluated, 'generate', tell);
    const theirs = await answersOf(certifying, asked, exported, 'generate', tell);
    const scored =
      certifying.scoring === 'generate'
        ? theirs
        : await answersOf(certifying, asked, exported, certifying.scoring, () => undefined);
    const prompts = await promptsOf(asked, exported);
    const rows: CertifiedRow[] = [];
    for (const [i, { row }] of data.test.entries()) {
      const text = asked.texts[i];
      const differences = text ? await compared(evaluated, exported, text) : NO_PLACES;
      const [a, b] = [mine.tokens.get(row)!, theirs.tokens.get(row)!];
      const equal = commonPrefix([a, b]);
      rows.push({ row, equal_tokens: equal, equal: equal === Math.max(a.length, b.length), ...differences });
      tell();
      throwIfAborted(signal);
    }
    const written = mine.predictions;
    return certificateOf(certifying, {
      ...{ file, reader: exported.about, prompts, rows, written, exported: scored.predictions },
    });
  } finally {
    await exported?.close();
    await evaluated.close();
  }
}

/** What the run evaluated: what it trained, over its base as it held it. */
async function evaluatedReader({
  run,
  settings,
  backend,
  modelFolder,
  signal,
}: Certifying): Promise<Reader & { readonly context: number }> {
  let base: CausalLM | undefined;
  const folder = join(run.folder, settings.name);
  const load = async (): Promise<CausalLM> =>
    (base = await loadModel(backend, modelFolder, run.manifest.config.weights));
  let tuned: Awaited<ReturnType<typeof loadTuned>>;
  try {
    tuned = await loadTuned({ backend }, { folder, settings }, load);
  } catch (error) {
    base?.dispose();
    throw error;
  }
  const dispose = (): void => {
    tuned.dispose();
    base?.dispose();
  };
  const about = { name: 'Westwind', version: version(), independent: false };
  const { bf16 } = settings.training;
  const context = tuned.model.config.max_position_embeddings;
  return { ...readerOfModel(tuned.model, about, { bf16, signal, dispose }), context };
}

/** What both sides are asked. */
interface Questions {
  readonly tokenizer: Tokenizer;
  /** What prompts were made of. */
  readonly asked: AskedTexts;
  readonly prompts: Readonly<Record<AnsweredBy, readonly Prompt[]>>;
  /** Each row with its reference, as it would be trained on; undefined for one that has no room. */
  readonly texts: readonly (TrainingExample | undefined)[];
  /** Tokens of the longest. */
  readonly context: number;
}

async function questionsOf(
  { run, settings, data, modelFolder, scoring }: Certifying,
  max_position_embeddings: number,
): Promise<Questions> {
  const tokenizer = Tokenizer.load(modelFolder);
  const { seed } = run.manifest.config;
  const model = { config: { max_position_embeddings } };
  const asked: AskedTexts = new Map();
  const kept = keeping(tokenizer, asked);
  const promptsFor = async (by: AnsweredBy): Promise<readonly Prompt[]> =>
    (await promptSet({ method: 'tuned', scoring: by, data, settings, model, tokenizer: kept, seed })).prompts;
  const generate = await promptsFor('generate');
  const likelihood = scoring === 'likelihood' ? await promptsFor(scoring) : [];
  const max_length = Math.min(settings.training.max_length, max_position_embeddings);
  const options = { ...textOptions(settings), max_length };
  const texts = await encodedExamples(data.task, data.test, tokenizer, options);
  const answer = newTokens({ method: 'tuned', settings });
  const lengths = [
    ...[...generate, ...likelihood].map(({ ids }) => ids.length + answer),
    ...texts.map((text) => text?.ids.length ?? 0),
  ];
  const context = lengths.reduce((a, b) => Math.max(a, b), 1);
  return { tokenizer, asked, prompts: { generate, likelihood }, texts, context };
}

/** The prompts' texts by the file's own tokenizer, where its reader has one. */
async function promptsOf(
  { prompts, asked, tokenizer }: Questions,
  exported: Reader,
): Promise<CertifiedPrompts | undefined> {
  const order = { prompts: prompts.generate, asked, tokenizer, spaces: exported.about.independent };
  return exported.cut && comparedCuts(order, (text) => exported.cut!(text));
}

/** A side's answers in the rows' order, and by row the tokens that it wrote. */
interface Answers {
  readonly tokens: ReadonlyMap<number, readonly number[]>;
  readonly predictions: readonly Prediction[];
}

/** The likeliest answers. */
async function answersOf(
  { run, settings, data, modelFolder, signal }: Certifying,
  { prompts, tokenizer }: Questions,
  reader: Reader,
  scoring: AnsweredBy,
  tell: () => void,
): Promise<Answers> {
  const tokens = new Map<number, readonly number[]>();
  const answerer = {
    ...reader,
    async *generate(...args: Parameters<Reader['generate']>) {
      for await (const answer of reader.generate(...args)) {
        tokens.set(answer.index, answer.tokens);
        yield answer;
      }
    },
  };
  const greedy = { ...settings, generation: { ...settings.generation, do_sample: false } };
  const asked = { data, settings: greedy, answerer, tokenizer, modelFolder, signal };
  const args = { ...asked, method: 'tuned', scoring, seed: run.manifest.config.seed } as const;
  const own = prompts[scoring];
  const predictions: Prediction[] = [];
  for await (const prediction of answersTo(args, own, commonPrefix(own.map(({ ids }) => ids)))) {
    predictions.push(prediction);
    tell();
  }
  return { tokens, predictions: predictions.sort((a, b) => a.row - b.row) };
}

/** Both sides' probabilities at each token of a text that counts. */
async function compared(evaluated: Reader, exported: Reader, text: TrainingExample): Promise<Differences> {
  const targets = text.labels.filter((label, place) => label >= 0 && (place > 0 || text.encoderIds));
  const theirs = exported.probabilities(text)[Symbol.asyncIterator]();
  let differences = NO_PLACES;
  let place = 0;
  try {
    for await (const mine of evaluated.probabilities(text)) {
      const next = await theirs.next();
      if (next.done) throw new Error('the exported file has fewer places than the text');
      differences = withPlace(differences, mine, next.value, targets[place++]!);
    }
  } finally {
    await theirs.return?.();
  }
  return differences;
}
