/**
 * Figures for a classification, as scikit-learn's accuracy_score and precision_recall_fscore_support with zero_division = 0 give them
 * over all labels that occur.
 */
import { compareLabels } from '../data/sampling.js';
import { bootstrap, type BootstrapOptions, type Interval } from './statistics.js';

export interface Averages {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export interface LabelReport extends Averages {
  readonly label: string;
  /** Rows that have this label. */
  readonly support: number;
  /** Rows of this label that were left without an answer. */
  readonly unanswered: number;
}

export interface ClassificationReport {
  readonly rows: number;
  readonly accuracy: number;
  /** Over all rows; equals the accuracy where every row is answered. */
  readonly micro: Averages;
  /** The plain mean over the labels. */
  readonly macro: Averages;
  /** By label, sorted by code point. */
  readonly labels: readonly LabelReport[];
  /** confusion[i][j]: rows of label i that were answered with label j, in the order of `labels`. */
  readonly confusion: readonly (readonly number[])[];
}

/**
 * Compares answers with truths, row by row; null is no answer, which is wrong without being any label.
 * Throws RangeError for lists of different lengths.
 */
export function classificationReport(
  truths: readonly string[],
  predictions: readonly (string | null)[],
): ClassificationReport {
  if (truths.length !== predictions.length) {
    throw new RangeError(`${truths.length} labels and ${predictions.length} predictions`);
  }
  const answers = predictions.filter((p) => p !== null);
  const names = [...new Set([...truths, ...answers])].sort(compareLabels);
  const indexOf = new Map(names.map((name, i) => [name, i]));
  const confusion = names.map(() => new Array<number>(names.length).fill(0));
  const unanswered = names.map(() => 0);
  for (const [row, truth] of truths.entries()) {
    const i = indexOf.get(truth)!;
    const prediction = predictions[row] ?? null;
    if (prediction === null) unanswered[i]! += 1;
    else confusion[i]![indexOf.get(prediction)!]! += 1;
  }
  const labels = names.map((label, i): LabelReport => {
    const support = sum(confusion[i]!) + unanswered[i]!;
    const predicted = sum(confusion.map((line) => line[i]!));
    return { label, support, unanswered: unanswered[i]!, ...averages(confusion[i]![i]!, predicted, support) };
  });
  const correct = sum(confusion.map((line, i) => line[i]!));
  const mean = (figure: keyof Averages): number => ratio(sum(labels.map((l) => l[figure])), labels.length);
  return {
    rows: truths.length,
    accuracy: ratio(correct, truths.length),
    micro: averages(correct, answers.length, truths.length),
    macro: { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') },
    labels,
    confusion,
  };
}

/** The bootstrap interval of `macro.f1`: over the labels that occur in a sample, as the figure is over those that occur in all rows. */
export function macroF1Interval(
  truths: readonly string[],
  predictions: readonly (string | null)[],
  options?: BootstrapOptions,
): Interval {
  const names = new Map<string, number>();
  const numbers = (labels: readonly (string | null)[]): Int32Array =>
    Int32Array.from(labels, (label) => {
      if (label === null) return -1;
      if (!names.has(label)) names.set(label, names.size);
      return names.get(label)!;
    });
  const [wanted, found] = [numbers(truths), numbers(predictions)];
  const hits = new Int32Array(names.size);
  const either = new Int32Array(names.size); // rows of the label and answers with it
  const statistics = (rows: Int32Array): [number] => {
    hits.fill(0);
    either.fill(0);
    for (let i = 0; i < rows.length; i++) {
      const truth = wanted[rows[i]!]!;
      const answer = found[rows[i]!]!;
      either[truth]!++;
      if (answer >= 0) either[answer]!++;
      if (answer === truth) hits[truth]!++;
    }
    let [total, occurring] = [0, 0];
    for (const [label, count] of either.entries()) {
      if (count === 0) continue;
      occurring++;
      total += (2 * hits[label]!) / count;
    }
    return [total / occurring];
  };
  return bootstrap(truths.length, statistics, options)[0]!;
}

function averages(hits: number, predicted: number, actual: number): Averages {
  return {
    precision: ratio(hits, predicted),
    recall: ratio(hits, actual),
    f1: ratio(2 * hits, predicted + actual),
  };
}

/** Zero where there is nothing to divide by. */
function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
