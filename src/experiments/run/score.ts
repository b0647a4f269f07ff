/** From predictions to figures. */

import { classificationReport, meanRouge, type ClassificationReport } from '../../eval/index.js';
import type { Metric } from '../../tasks/index.js';
import type { Prediction } from './predictions.js';

export interface Score {
  readonly metrics: Readonly<Record<string, number>>;
  readonly unanswered: number;
  /** For a classification: figures by label, and the confusion matrix. */
  readonly report?: ClassificationReport;
}

type Answered = Pick<Prediction, 'reference' | 'answer'>;

const SCORERS: Readonly<Record<Metric, (predictions: readonly Answered[]) => Omit<Score, 'unanswered'>>> = {
  classification: (predictions) => {
    const report = classificationReport(
      predictions.map((p) => p.reference),
      predictions.map((p) => p.answer),
    );
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
      report,
    };
  },
  rouge: (predictions) => {
    const pairs = predictions.map((p) => ({ reference: p.reference, prediction: p.answer ?? '' }));
    const metrics: Record<string, number> = {};
    for (const useStemmer of [false, true]) {
      for (const [type, { fmeasure }] of Object.entries(meanRouge(pairs, { useStemmer }))) {
        metrics[useStemmer ? `${type}_stemmed` : type] = fmeasure;
      }
    }
    return { metrics };
  },
  exact_match: (predictions) => ({
    metrics: { exact_match: predictions.filter((p) => p.answer === p.reference).length / predictions.length },
  }),
};

/** Every row counts; one without an answer is wrong. */
export function scorePredictions(metric: Metric, predictions: readonly Answered[]): Score {
  return { ...SCORERS[metric](predictions), unanswered: predictions.filter((p) => p.answer === null).length };
}
