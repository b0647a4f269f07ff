/** `westwind eval FILE`: the figures of any table that has references and answers, a run's predictions among them. */

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Option } from 'commander';
import { readTable, selectColumns, type Row } from '../data/index.js';
import {
  confusionMatrix,
  METRIC_NAMES,
  metricOf,
  metricOptionsSchema,
  ROUGE_TOKENIZERS,
  scorePredictions,
  unreadNote,
  type Answered,
  type ClassificationReport,
  type Metric,
  type RougeTokenizer,
  type Score,
} from '../eval/index.js';
import { TASK_FILES } from '../experiments/store/layout.js';
import { percent, withInterval } from '../experiments/store/results.js';
import { UserError } from '../util/errors.js';
import { readJsonObject } from '../util/json.js';
import type { Verb } from './main.js';
import { sayJson, sayLines } from './output.js';
import { tableText } from './table.js';

interface Flags {
  readonly metric?: Metric;
  readonly referenceColumn: string;
  readonly predictionColumn: string;
  readonly confusion?: boolean;
  readonly rougeTokenizer?: RougeTokenizer;
  readonly json?: boolean;
}

export const verb: Verb = (command) => {
  command
    .argument('<predictions>', "a run's predictions-*.jsonl, or any CSV, JSON, JSONL or Parquet file")
    .addOption(
      new Option('--metric <name>', '(default: that of the run that the file lies in)').choices(METRIC_NAMES),
    )
    .option('--reference-column <name>', 'the column of the right answers', 'reference')
    .option(
      '--prediction-column <name>',
      "the column of the model's answers; empty: none was given",
      'answer',
    )
    .option('--confusion', 'with classification: the figures of each label, and which was taken for which')
    .addOption(
      new Option(
        '--rouge-tokenizer <name>',
        "words to ROUGE: as Google's rouge_score has them, or of any script (default: that of the run, or ascii)",
      ).choices(ROUGE_TOKENIZERS),
    )
    .option('--json', 'everything as JSON')
    .action(async (path: string, flags: Flags) => {
      const run = resultBeside(path);
      const metric = flags.metric ?? METRIC_NAMES.find((name) => name === run['metric']);
      if (metric === undefined)
        throw new UserError(
          `${path} lies in no finished run, so name its metric: --metric ${METRIC_NAMES.join(', ')}`,
        );
      const predictions = answersOf(await readTable(path), path, flags);
      const score = scorePredictions(metric, predictions, {
        ...metricOptionsSchema.strip().safeParse(run).data,
        ...(flags.rougeTokenizer && { rouge_tokenizer: flags.rougeTokenizer }),
      });
      if (flags.json) {
        sayJson({ metric, rows: predictions.length, ...score }, 2);
        return;
      }
      sayLines(figures(metric, score));
      if (flags.confusion) {
        if (!score.report)
          throw new UserError(`--confusion goes with the metric classification, not ${metric}`);
        sayLines(`\n${labelTable(score.report)}\n\n${confusionTable(score.report)}`);
      }
      sayLines(
        `\n${predictions.length} rows, ${score.unanswered} without an answer; in percent, with 95 % intervals over the rows`,
      );
      if (score.unread !== undefined) sayLines(unreadNote(score.unread, predictions.length));
    });
};

/** The run's own result, which lies beside its predictions. */
function resultBeside(path: string): Readonly<Record<string, unknown>> {
  const result = TASK_FILES.result.in(dirname(path));
  return existsSync(result) ? readJsonObject(result) : {};
}

function answersOf(table: readonly Row[], path: string, flags: Flags): Answered[] {
  const { rows, dropped } = selectColumns(table, { reference: flags.referenceColumn }, path);
  if (dropped.length > 0) {
    const { index, column } = dropped[0]!;
    throw new UserError(
      `${path}: row ${index + 1} has an empty ${column}: a row without a right answer cannot be scored`,
    );
  }
  // A blank cell is how a CSV file says null.
  const column = flags.predictionColumn;
  const given = selectColumns(table, { answer: column }, path);
  const answers = new Map(given.indices.map((index, i) => [index, given.rows[i]!.answer]));
  return rows.map(({ reference }, index) => ({ reference, answer: answers.get(index) ?? null }));
}

function figures(metric: Metric, { metrics, intervals }: Score): string {
  const show = (name: string): string => withInterval(metrics[name], intervals[name]);
  const { heads, lines } = metricOf(metric).list ?? {
    heads: [metric, 'figure'],
    lines: Object.keys(metrics).map((name) => [name, name] as const),
  };
  return tableText(
    heads,
    lines.map(([first, ...names]) => [first, ...names.map(show)]),
  );
}

function labelTable({ labels }: ClassificationReport): string {
  return tableText(
    ['label', 'precision', 'recall', 'F1', 'rows', 'no answer'],
    labels.map((l) => [
      l.label,
      percent(l.precision),
      percent(l.recall),
      percent(l.f1),
      String(l.support),
      String(l.unanswered),
    ]),
  );
}

/** Columns by number, as the rows are numbered: twenty names do not fit beside one another. */
function confusionTable(report: ClassificationReport): string {
  const { labels } = report;
  return tableText(
    ['right answer, and what was answered', ...labels.map((_, i) => String(i + 1))],
    confusionMatrix(report).map((line, i) => [
      `${i + 1} ${labels[i]!.label}`,
      ...line.map((n) => (n === 0 ? '.' : String(n))),
    ]),
  );
}
