/**
 * Figures for a classification, as scikit-learn's accuracy_score and precision_recall_fscore_support with zero_division = 0 give them
 * over all labels that occur.
 */
import { compareLabels } from '../data/sampling.js';
import { UserError } from '../util/errors.js';
import { bootstrap, shareInterval, type BootstrapOptions, type Interval } from './statistics.js';

/** Precision, recall and their harmonic mean, each from 0 to 1. */
export interface Averages {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** The figures of one label. */
export interface LabelReport extends Averages {
  readonly label: string;
  /** Rows that have this label. */
  readonly support: number;
  /** Rows of this label that were left without an answer. */
  readonly unanswered: number;
}

/** Figures of a classification, as scikit-learn’s classification_report defines them; a row without an answer is wrong. */
export interface ClassificationReport {
  readonly rows: number;
  readonly accuracy: number;
  /** Over all rows; equals the accuracy where every row is answered. */
  readonly micro: Averages;
  /** The plain mean over the labels. */
  readonly macro: Averages;
  /** By label, sorted by code point. */
  readonly labels: readonly LabelReport[];
  /** What was answered with what, by the labels' places in `labels`, as far as it occurs, in their order. `confusionMatrix` draws it up. */
  readonly confusion: readonly Confusion[];
}

/** Rows of one label that were answered with one label. */
export interface Confusion {
  readonly label: number;
  readonly answer: number;
  readonly rows: number;
}

/** Beyond it a matrix is for nobody's eyes. */
const MOST_LABELS = 1000;

/** matrix[i][j]: rows of label i that were answered with label j. Throws UserError for more than 1,000 labels. */
export function confusionMatrix({
  labels,
  confusion,
}: Pick<ClassificationReport, 'labels' | 'confusion'>): number[][] {
  if (labels.length > MOST_LABELS)
    throw new UserError(
      `a confusion matrix of ${labels.length} labels cannot be read: ${MOST_LABELS} are the most; leave --confusion out`,
    );
  const matrix = labels.map(() => new Array<number>(labels.length).fill(0));
  for (const { label, answer, rows } of confusion) matrix[label]![answer] = rows;
  return matrix;
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
  const counts = (): Float64Array => new Float64Array(names.length);
  const [support, unanswered, predicted, hits] = [counts(), counts(), counts(), counts()];
  const lines = names.map(() => new Map<number, number>());
  for (const [row, truth] of truths.entries()) {
    const i = indexOf.get(truth)!;
    const prediction = predictions[row] ?? null;
    support[i]!++;
    if (prediction === null) {
      unanswered[i]!++;
      continue;
    }
    const j = indexOf.get(prediction)!;
    predicted[j]!++;
    if (i === j) hits[i]!++;
    lines[i]!.set(j, (lines[i]!.get(j) ?? 0) + 1);
  }
  const confusion = lines.flatMap((line, label) =>
    [...line].sort(([a], [b]) => a - b).map(([answer, rows]): Confusion => ({ label, answer, rows })),
  );
  const labels = names.map((label, i): LabelReport => {
    const figures = averages(hits[i]!, predicted[i]!, support[i]!);
    return { label, support: support[i]!, unanswered: unanswered[i]!, ...figures };
  });
  const correct = hits.reduce((a, b) => a + b, 0);
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

/**
 * The bootstrap interval of `macro.f1`: over the labels that occur in a sample, as the figure is over those that occur in all rows. Where
 * every row is right, or none is, each sample would be like the other: there it is Wilson's, over as many rows as tell as much of a share
 * as a plain mean over the labels does of its own, which is the number of labels times the harmonic mean of their rows.
 */
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
  const right = wanted.filter((truth, row) => truth === found[row]).length;
  if (right === wanted.length || right === 0) {
    const support = new Map<number, number>();
    for (const truth of wanted) support.set(truth, (support.get(truth) ?? 0) + 1);
    const rows = support.size ** 2 / [...support.values()].reduce((total, n) => total + 1 / n, 0);
    return shareInterval(right === 0 ? 0 : rows, rows, options?.confidence);
  }
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
