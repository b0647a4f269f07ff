/** From predictions to figures. */

import {
  classificationReport,
  isUnread,
  macroF1Interval,
  meanIntervals,
  rouge,
  ROUGE_TYPES,
  shareInterval,
  type ClassificationReport,
  type Interval,
} from './index.js';
import type { Metric, RougeTokenizer } from '../tasks/index.js';
import { checkOneOf } from '../util/checks.js';

/** The figures of one method’s answers. */
export interface Score {
  readonly metrics: Readonly<Record<string, number>>;
  /** 95 % intervals over the rows, of the figures that tables show: Wilson's of shares, else by bootstrap. */
  readonly intervals: Readonly<Record<string, Interval>>;
  readonly unanswered: number;
  /** For ROUGE: references most of whose letters its tokenizer drops. */
  readonly unread?: number;
  /** For a classification: figures by label, and the confusion matrix. */
  readonly report?: ClassificationReport;
}

/** What is scored of a row. A null answer is none that counts. */
export interface Answered {
  readonly reference: string;
  readonly answer: string | null;
}

export interface ScoreOptions {
  readonly rouge_tokenizer?: RougeTokenizer | undefined;
}

type Scorer = (predictions: readonly Answered[], options: ScoreOptions) => Omit<Score, 'unanswered'>;

const SCORERS: Readonly<Record<Metric, Scorer>> = {
  classification: (predictions) => {
    const truths = predictions.map((p) => p.reference);
    const answers = predictions.map((p) => p.answer);
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
        accuracy: shareInterval(hits(predictions), predictions.length),
        f1_macro: macroF1Interval(truths, answers),
      },
      report,
    };
  },
  rouge: (predictions, { rouge_tokenizer: tokenizer }) => {
    const columns: Record<string, number[]> = {};
    for (const useStemmer of [false, true]) {
      const scores = predictions.map((p) => rouge(p.reference, p.answer ?? '', { useStemmer, tokenizer }));
      for (const type of ROUGE_TYPES)
        columns[useStemmer ? `${type}_stemmed` : type] = scores.map((score) => score[type].fmeasure);
    }
    const unread = tokenizer === 'unicode' ? 0 : predictions.filter((p) => isUnread(p.reference)).length;
    return { metrics: means(columns), intervals: meanIntervals(columns), ...(unread > 0 && { unread }) };
  },
  exact_match: (predictions) => {
    const n = predictions.length;
    const exact = hits(predictions);
    return { metrics: { exact_match: exact / n }, intervals: { exact_match: shareInterval(exact, n) } };
  },
};

function hits(predictions: readonly Answered[]): number {
  return predictions.filter((p) => p.answer === p.reference).length;
}

function means(columns: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, mean(values)]));
}

/** Every row counts; one without an answer is wrong. */
export function scorePredictions(
  metric: Metric,
  predictions: readonly Answered[],
  options: ScoreOptions = {},
): Score {
  checkOneOf('metric', metric, Object.keys(SCORERS));
  const unanswered = predictions.filter((p) => p.answer === null).length;
  return { ...SCORERS[metric](predictions, options), unanswered };
}

/** What a person should know of ROUGE figures over `rows` rows. */
export function unreadNote(unread: number, rows: number): string {
  return (
    `${unread} of ${rows} references have most of their letters outside a to z, which ROUGE's tokenizer drops: ` +
    'rouge_tokenizer: unicode counts words of any script'
  );
}
