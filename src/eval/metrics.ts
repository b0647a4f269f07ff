/**
 * The metrics: all that is known of one stands in its entry of the table, and a metric is added there alone. The names that files, the
 * command and tasks may use, the columns of results, and what a report says of a metric are made of it.
 */

import { z } from 'zod';
import { checkOneOf } from '../util/checks.js';
import { section, setting, type Given } from '../util/settings.js';
import { chrf, chrfCounts, chrfOf } from './chrf.js';
import { classificationReport, macroF1Interval, type ClassificationReport } from './classification.js';
import { isUnread, rouge, ROUGE_TOKENIZERS, ROUGE_TYPES } from './rouge.js';
import { bootstrap, meanIntervals, shareInterval, type Interval } from './statistics.js';

/** A right answer and a model's; null: it gave none, which is wrong. */
export interface Answered {
  readonly reference: string;
  readonly answer: string | null;
}

/** What some metric can be told: settings of the tasks that are scored by it. */
export const METRIC_SETTINGS = {
  rouge_tokenizer: setting(
    z.enum(ROUGE_TOKENIZERS),
    'Words to ROUGE. ascii: runs of a to z and 0 to 9, as Google’s rouge_score has them; unicode: words of any script.',
    { default: 'ascii' as const },
  ),
};

/** What the metrics’ own settings say; what is absent has its default. */
export type MetricOptions = Given<typeof METRIC_SETTINGS>;
/** As files have them. */
export const metricOptionsSchema = section(METRIC_SETTINGS);

/** The figures of one method’s answers. */
export interface Score {
  readonly metrics: Readonly<Record<string, number>>;
  /** 95 % intervals over the rows, of the figures that tables show: Wilson's of shares, else by bootstrap. */
  readonly intervals: Readonly<Record<string, Interval>>;
  readonly unanswered: number;
  /** For ROUGE: references most of whose letters its tokenizer drops. */
  readonly unread?: number;
  /** Where answers are labels: figures by label, and the confusion matrix. */
  readonly report?: ClassificationReport;
}

/** A figure that tables show. */
export interface Figure {
  readonly head: string;
  /** What a row alone scores; absent: the figure is of all rows together. */
  readonly ofRow?: (answered: Answered, options: MetricOptions) => number;
  /** A row is right (1) or wrong (0). */
  readonly hits?: boolean;
  /** It is of the answers by likelihood, where both ways were asked. */
  readonly likelihood?: boolean;
  /** What the hub calls such figures (https://huggingface.co/metrics), where that is not their name. */
  readonly hub?: string;
}

interface MetricEntry {
  /** What a custom task calls it, and what its answers are then. */
  readonly customName: string;
  readonly about: string;
  /** Answers are labels, out of a fixed set. */
  readonly labelled: boolean;
  /** Those of `METRIC_SETTINGS` that are its own. */
  readonly settings: Partial<typeof METRIC_SETTINGS>;
  /** By name, in the order of the columns; the first is the one that findings are about. */
  readonly figures: Readonly<Record<string, Figure>>;
  /** What a report says below its tables. */
  readonly note?: string;
  /** How all of its figures are listed: heads, and each line's first cell with the names of the figures behind it. Absent: a line each. */
  readonly list?: {
    readonly heads: readonly string[];
    readonly lines: readonly (readonly [string, ...string[]])[];
  };
  readonly score: (answered: readonly Answered[], options: MetricOptions) => Omit<Score, 'unanswered'>;
}

const isRight = ({ answer, reference }: Answered): number => (answer === reference ? 1 : 0);
const hits = (head: string): Figure => ({ head, ofRow: isRight, hits: true });

/** The metrics by their names. */
export const METRICS = {
  classification: {
    customName: 'accuracy',
    about: 'the answers are classes',
    labelled: true,
    settings: {},
    figures: {
      accuracy: hits('accuracy'),
      f1_macro: { head: 'macro F1', hub: 'f1' },
      likelihood_accuracy: { ...hits('accuracy by likelihood'), likelihood: true, hub: 'accuracy' },
    },
    score: (answered) => {
      const truths = answered.map((a) => a.reference);
      const answers = answered.map((a) => a.answer);
      const report = classificationReport(truths, answers);
      const { accuracy, micro, macro } = report;
      return {
        metrics: {
          accuracy,
          f1_micro: micro.f1,
          f1_macro: macro.f1,
          precision_micro: micro.precision,
          precision_macro: macro.precision,
          recall_micro: micro.recall,
          recall_macro: macro.recall,
        },
        intervals: {
          accuracy: shareInterval(rightOf(answered), answered.length),
          f1_macro: macroF1Interval(truths, answers),
        },
        report,
      };
    },
  },
  rouge: {
    customName: 'rouge',
    about: 'free text',
    labelled: false,
    settings: { rouge_tokenizer: METRIC_SETTINGS.rouge_tokenizer },
    figures: {
      rouge1: fMeasure('rouge1', 'ROUGE-1'),
      rouge2: fMeasure('rouge2', 'ROUGE-2'),
      rougeL: fMeasure('rougeL', 'ROUGE-L'),
      rougeLsum: fMeasure('rougeLsum', 'ROUGE-Lsum'),
    },
    note: 'ROUGE is the F-measure without stemming',
    list: {
      heads: ['F-measure', 'as written', 'stemmed'],
      lines: ROUGE_TYPES.map((type) => [type, type, `${type}_stemmed`] as const),
    },
    score: (answered, { rouge_tokenizer: tokenizer }) => {
      const columns: Record<string, number[]> = {};
      for (const useStemmer of [false, true]) {
        const scores = answered.map((a) => rouge(a.reference, a.answer ?? '', { useStemmer, tokenizer }));
        for (const type of ROUGE_TYPES)
          columns[useStemmer ? `${type}_stemmed` : type] = scores.map((score) => score[type].fmeasure);
      }
      const unread = tokenizer === 'unicode' ? 0 : answered.filter((a) => isUnread(a.reference)).length;
      return { metrics: means(columns), intervals: meanIntervals(columns), ...(unread > 0 && { unread }) };
    },
  },
  exact_match: {
    customName: 'exact_match',
    about: 'the very same text',
    labelled: false,
    settings: {},
    figures: { exact_match: hits('exact match') },
    score: (answered) => {
      const n = answered.length;
      const exact = rightOf(answered);
      return { metrics: { exact_match: exact / n }, intervals: { exact_match: shareInterval(exact, n) } };
    },
  },
  chrf: {
    customName: 'chrf',
    about: 'free text of any script, by characters',
    labelled: false,
    settings: {},
    figures: {
      chrf: { head: 'chrF', ofRow: ({ reference, answer }) => chrf(reference, answer ?? '') },
      chrf_corpus: { head: 'corpus chrF', hub: 'chrf' },
    },
    note: 'chrF is the mean over the rows, corpus chrF sacrebleu’s score of them all',
    score: (answered) => {
      const counts = answered.map(({ reference, answer }) => chrfCounts(reference, answer ?? ''));
      const rows = counts.map(chrfOf);
      const [corpus] = bootstrap(counts.length, (drawn) => [chrfOf(summed(counts, drawn))]);
      return {
        metrics: { ...means({ chrf: rows }), chrf_corpus: chrfOf(summed(counts, [...counts.keys()])) },
        intervals: { ...meanIntervals({ chrf: rows }), chrf_corpus: corpus! },
      };
    },
  },
} as const satisfies Readonly<Record<string, MetricEntry>>;

/** Which figures score a task's answers. */
export type Metric = keyof typeof METRICS;

/** In the table's order. */
export const METRIC_NAMES = Object.keys(METRICS) as [Metric, ...Metric[]];

/** The table to look things up in, without its literal types. */
export const metricOf = (metric: Metric): MetricEntry => METRICS[metric];

/** A figure's name and the head of its column. */
export type FigureHead = readonly [name: string, head: string];

/** The figures that tables show, in their order. */
export function figureHeads({ metric }: { readonly metric: Metric }): FigureHead[] {
  return Object.entries(metricOf(metric).figures).map(([name, { head }]) => [name, head]);
}

/** Of answers, however they were found, those that tables show. */
export function figureNames(metric: Metric): string[] {
  const figures = Object.entries(metricOf(metric).figures);
  return figures.filter(([, { likelihood }]) => likelihood !== true).map(([name]) => name);
}

/** The one that findings are about. */
export function mainFigure(of: { readonly metric: Metric }): FigureHead {
  return figureHeads(of)[0]!;
}

function fMeasure(type: (typeof ROUGE_TYPES)[number], head: string): Figure {
  return {
    ...{ head, hub: 'rouge' },
    ofRow: ({ reference, answer }, { rouge_tokenizer: tokenizer }) =>
      rouge(reference, answer ?? '', { tokenizer })[type].fmeasure,
  };
}

function rightOf(answered: readonly Answered[]): number {
  return answered.filter((a) => a.answer === a.reference).length;
}

function means(columns: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, mean(values)]));
}

/** The sums of some rows' counts; a row may be there several times. */
function summed(counts: readonly (readonly number[])[], rows: ArrayLike<number>): number[] {
  const sums = new Array<number>(counts[0]?.length ?? 0).fill(0);
  for (let i = 0; i < rows.length; i++) {
    const row = counts[rows[i]!]!;
    for (let j = 0; j < sums.length; j++) sums[j]! += row[j]!;
  }
  return sums;
}

/** Every row counts; one without an answer is wrong. */
export function scorePredictions(
  metric: Metric,
  answered: readonly Answered[],
  options: MetricOptions = {},
): Score {
  checkOneOf('metric', metric, METRIC_NAMES);
  const unanswered = answered.filter((a) => a.answer === null).length;
  return { ...metricOf(metric).score(answered, options), unanswered };
}

/** What a person should know of ROUGE figures over `rows` rows. */
export function unreadNote(unread: number, rows: number): string {
  return (
    `${unread} of ${rows} references have most of their letters outside a to z, which ROUGE's tokenizer drops: ` +
    'rouge_tokenizer: unicode counts words of any script'
  );
}
