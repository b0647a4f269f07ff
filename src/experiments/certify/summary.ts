/** From what both sides answered and thought of the rows to the certificate. */

import {
  comparePaired,
  mainFigure,
  metricOf,
  scorePredictions,
  type Metric,
  type PairedComparison,
} from '../../eval/index.js';
import { metricOptions } from '../../tasks/index.js';
import { describeProgram } from '../../util/program.js';
import type {
  Certificate,
  CertifiedAnswers,
  CertifiedPrompts,
  CertifiedRow,
  ExportedFile,
  ReaderName,
} from '../store/certificate.js';
import type { Prediction } from '../store/predictions.js';
import { percent } from '../store/results.js';
import { sumOf } from './compare.js';
import type { Certifying } from './prepare.js';

/** What was found. */
export interface Certified {
  readonly file: ExportedFile;
  readonly reader: ReaderName;
  readonly prompts: CertifiedPrompts | undefined;
  readonly rows: readonly CertifiedRow[];
  /** The likeliest answers that what was evaluated writes now, and those of the exported file that are scored; in the rows' order. */
  readonly written: readonly Prediction[];
  readonly exported: readonly Prediction[];
}

export function certificateOf(certifying: Certifying, found: Certified): Certificate {
  const { run, settings, data, recorded, testRows } = certifying;
  const { file, reader, prompts, rows, written, exported } = found;
  const { metric } = data.task;
  const options = metricOptions(settings.settings);
  const answersOf = (predictions: readonly Prediction[]): CertifiedAnswers => {
    const { metrics, intervals, unanswered } = scorePredictions(metric, predictions, options);
    return { metrics, intervals, unanswered };
  };
  const [figure] = mainFigure({ metric });
  const ofRow = metricOf(metric).figures[figure]!.ofRow!;
  const figuresOf = (predictions: readonly Prediction[]): number[] =>
    predictions.map((one) => ofRow(one, options));
  const paired = comparePaired(figuresOf(exported), figuresOf(recorded));
  const { places, loss_run, loss_exported, kl_divergence, largest_difference } = sumOf(rows);
  const perplexity = { run: Math.exp(loss_run / places), exported: Math.exp(loss_exported / places) };
  const differing = rows.find(({ equal }) => !equal);
  const { config, weights } = run.manifest;
  const written_again = certifying.scoring === 'generate' && !settings.generation.do_sample;
  const cuts = prompts ? cutsOtherwise(prompts, rows.length) : { faults: [], notes: [] };
  const reproduced = recorded.filter(({ text }, i) => text === written[i]!.text).length;
  return {
    file,
    run: {
      ...{ id: run.id, task: settings.name, model: config.model_name_or_path },
      weights: weights ?? config.weights.dtype,
    },
    reader,
    westwind: describeProgram().westwind,
    made: new Date().toISOString(),
    test_rows: testRows,
    certified_rows: rows.length,
    tokens: {
      equal_rows: rows.filter(({ equal }) => equal).length,
      ...(differing && { first_difference: { row: differing.row, place: differing.equal_tokens } }),
    },
    ...(prompts && { prompts }),
    places,
    largest_logit_difference: largest_difference,
    kl_divergence: kl_divergence / places,
    perplexity,
    metric,
    run_answers: answersOf(recorded),
    exported_answers: answersOf(exported),
    paired,
    ...(written_again && { reproduced_rows: reproduced }),
    faults: [...faultsOf(metric, paired, perplexity), ...cuts.faults],
    notes: [
      ...certifying.notes,
      ...cuts.notes,
      ...(written_again && reproduced < rows.length
        ? [`${rows.length - reproduced} of the run's recorded answers come out otherwise here`]
        : []),
    ],
    by_row: rows,
  };
}

/** From where on a difference is called significant. */
const ALPHA = 0.05;
/** How many times the run's perplexity no export that is sound has. */
const FAR = 2;

/** Why what was exported is not what was evaluated. */
export function faultsOf(
  metric: Metric,
  { difference, interval, p }: Pick<PairedComparison, 'difference' | 'interval' | 'p'>,
  perplexity: Certificate['perplexity'],
): string[] {
  const [, head] = mainFigure({ metric });
  const faults: string[] = [];
  if (p < ALPHA && (interval.low > 0 || interval.high < 0))
    faults.push(
      `${head} is ${percent(Math.abs(difference))} points ${difference < 0 ? 'below' : 'above'} the run's own on the same rows (p ${p < 0.001 ? '< 0.001' : `= ${p.toFixed(3)}`})`,
    );
  if (perplexity.exported > FAR * perplexity.run)
    faults.push(
      `the references' perplexity is ${perplexity.exported.toFixed(2)}, and was ${perplexity.run.toFixed(2)}`,
    );
  return faults;
}

/** The share of rows whose prompts may be cut otherwise: more are not a word here and there. */
const FEW = 0.05;

/** What the file's own tokenizer does otherwise, and whether that is a fault. */
export function cutsOtherwise(
  { equal_rows, known_rows, first_difference: first }: CertifiedPrompts,
  rows: number,
): { readonly faults: readonly string[]; readonly notes: readonly string[] } {
  const other = rows - equal_rows - known_rows;
  const prompts = (count: number): string => `${count} of ${rows} prompts`;
  const said = first
    ? [
        `the file's own tokenizer cuts ${prompts(other)} into other tokens: row ${first.row + 1} first, at token ${first.place + 1}`,
      ]
    : [];
  const known =
    known_rows > 0 ? [`llama.cpp puts a space before ${prompts(known_rows)}, which begin with one`] : [];
  return other > Math.max(1, FEW * rows)
    ? { faults: said, notes: known }
    : { faults: [], notes: [...said, ...known] };
}
