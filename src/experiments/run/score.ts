/** From predictions to figures. */

import {
  classificationReport,
  macroF1Interval,
  meanIntervals,
  rouge,
  ROUGE_TYPES,
  type ClassificationReport,
  type Interval,
} from '../../eval/index.js';
import type { Metric } from '../../tasks/index.js';
import type { Prediction } from './predictions.js';

export interface Score {
  readonly metrics: Readonly<Record<string, number>>;
  /** 95 % bootstrap intervals over the rows, of the figures that tables show. */
  readonly intervals: Readonly<Record<string, Interval>>;
  readonly unanswered: number;
  /** For a classification: figures by label, and the confusion matrix. */
  readonly report?: ClassificationReport;
}

type Answered = Pick<Prediction, 'reference' | 'answer'>;

const SCORERS: Readonly<Record<Metric, (predictions: readonly Answered[]) => Omit<Score, 'unanswered'>>> = {
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
        ...meanIntervals({ accuracy: hits(predictions) }),
        f1_macro: macroF1Interval(truths, answers),
      },
      report,
    };
  },
  rouge: (predictions) => {
    const columns: Record<string, number[]> = {};
    for (const useStemmer of [false, true]) {
      const scores = predictions.map((p) => rouge(p.reference, p.answer ?? '', { useStemmer }));
      for (const type of ROUGE_TYPES)
        columns[useStemmer ? `${type}_stemmed` : type] = scores.map((score) => score[type].fmeasure);
    }
    return { metrics: means(columns), intervals: meanIntervals(columns) };
  },
  exact_match: (predictions) => {
    const columns = { exact_match: hits(predictions) };
    return { metrics: means(columns), intervals: meanIntervals(columns) };
  },
};

function hits(predictions: readonly Answered[]): number[] {
  return predictions.map((p) => (p.answer === p.reference ? 1 : 0));
}

function means(columns: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, mean(values)]));
}

/** Every row counts; one without an answer is wrong. */
export function scorePredictions(metric: Metric, predictions: readonly Answered[]): Score {
  return { ...SCORERS[metric](predictions), unanswered: predictions.filter((p) => p.answer === null).length };
}
