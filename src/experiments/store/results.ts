/** The figures of a run, and the table that shows them. */

import {
  figureHeads,
  unreadNote,
  type FigureHead,
  type Interval,
  type Metric,
  type MetricOptions,
} from '../../eval/index.js';
import { methodName, type Method, type TaskName } from '../../tasks/index.js';
import { own } from '../../util/own.js';
import { columnsOf, oneLine } from '../../util/visible.js';
import { boundsText, checkFigureText, type CheckFigure } from './check-figures.js';
import { overlapNotes, type Overlap } from '../data/overlap.js';

/** One way of answering the test rows, and what it scored. */
export interface MethodResult {
  readonly method: Method;
  /** By name: accuracy, f1_macro, rouge1, … in [0, 1]. */
  readonly metrics: Readonly<Record<string, number>>;
  /** 95 % intervals of those that tables show. */
  readonly intervals: Readonly<Record<string, Interval>>;
  /** Test rows. */
  readonly rows: number;
  /** Rows whose answer was none of the labels, or empty: counted as wrong. */
  readonly unanswered: number;
  /** References that ROUGE's tokenizer reads little of. */
  readonly unread?: number;
  readonly seconds: number;
  /** What the configuration's checks came to, by name. */
  readonly checks?: Readonly<Record<string, CheckFigure>>;
}

/** What a run found for one task: result.json. */
export interface TaskResult extends MetricOptions {
  readonly task: string;
  readonly kind: TaskName;
  readonly metric: Metric;
  readonly train_rows: number;
  /** Rows that a split left out of the training. */
  readonly validation_rows?: number;
  readonly test_rows: number;
  /** Rows that the sets have in common; runs of before it was told have none. */
  readonly overlap?: Overlap;
  readonly methods: readonly MethodResult[];
  readonly training?: {
    readonly steps: number;
    readonly first_loss: number;
    readonly last_loss: number;
    readonly tokens: number;
    readonly seconds: number;
    /** Of a training that was evaluated: its best evaluation, where one has a figure, by what metric, and whether it ended for want of a better one. */
    readonly best_step?: number;
    readonly best_metric?: number;
    readonly metric_for_best_model?: string;
    readonly stopped_early?: boolean;
    /** Whose sake it ended early for, where that was not its own: other trials of its search were better. Then no test row is answered. */
    readonly stopped_by?: 'search';
  };
}

/** The results as Markdown, which reads well on a terminal, too: figures in percent. `table`: how a table is written otherwise. */
export function resultsTable(results: readonly TaskResult[], tuning: string, table = markdownTable): string {
  return results.map((result) => taskTable(result, tuning, table)).join('\n\n');
}

/** The columns of a metric's table for which some method has a figure. */
export function figureColumns(metric: Metric, methods: readonly MethodResult[]): FigureHead[] {
  return figureHeads({ metric }).filter(([name]) => methods.some((m) => name in m.metrics));
}

function taskTable(result: TaskResult, tuning: string, table: typeof markdownTable): string {
  if (result.methods.length === 0) return `${result.task}: ${caption(result)}`;
  const present = figureColumns(result.metric, result.methods);
  const heads = [result.task, ...present.map(([, head]) => head), 'no answer', 'time'];
  const rows = result.methods.map((m) => [
    methodName(m.method, tuning),
    ...present.map(([name]) => withInterval(m.metrics[name], m.intervals[name])),
    String(m.unanswered),
    `${m.seconds.toFixed(1)} s`,
  ]);
  return [table(heads, rows), '', ...checksTable(result, tuning, table), caption(result)].join('\n');
}

/** The checks' columns, in figures as they are. */
function checksTable({ task, methods }: TaskResult, tuning: string, table: typeof markdownTable): string[] {
  const columns = Object.entries(methods[0]?.checks ?? {});
  if (columns.length === 0) return [];
  const heads = [`${task}: checks`, ...columns.map(([name, figure]) => `${name}${boundsText(figure)}`)];
  const rows = methods.map(({ method, checks = {} }) => [
    methodName(method, tuning),
    ...columns.map(([name]) => {
      const { mean, interval } = own(checks, name)!;
      return `${checkFigureText(mean)} [${checkFigureText(interval.low)}, ${checkFigureText(interval.high)}]`;
    }),
  ]);
  return [table(heads, rows), ''];
}

/** A table that reads well as text, too: the first column to the left, figures to the right. Cells are one line each. */
export function markdownTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const [top, ...below] = [heads, ...rows].map((row) => row.map(oneLine));
  const widths = top!.map((head, i) =>
    Math.max(2, columnsOf(head), ...below.map((row) => columnsOf(row[i]!))),
  );
  const padded = (cell: string, i: number): string => {
    const space = ' '.repeat(widths[i]! - columnsOf(cell));
    return i === 0 ? cell + space : space + cell;
  };
  const line = (cells: readonly string[]): string => `| ${cells.map(padded).join(' | ')} |`;
  const rule = `| ${widths.map((w, i) => (i === 0 ? '-'.repeat(w) : '-'.repeat(w - 1) + ':')).join(' | ')} |`;
  return [line(top!), rule, ...below.map(line)].join('\n');
}

function caption(result: TaskResult): string {
  const { training, train_rows, validation_rows, test_rows, overlap } = result;
  const left = validation_rows === undefined ? '' : `${validation_rows} validation rows, `;
  const tested =
    result.methods.length === 0 && test_rows > 0
      ? `${left}${test_rows} test rows, which were not answered.`
      : test_rows === 0
        ? `${left}no test rows.`
        : `${left}${test_rows} test rows; figures in percent, with their 95 % intervals.`;
  const trained = training
    ? `${training.steps} step${training.steps === 1 ? '' : 's'} in ${training.seconds.toFixed(1)} s ` +
      `(loss ${training.first_loss.toFixed(3)} to ${training.last_loss.toFixed(3)}${chosenText(training)}), `
    : '';
  const notes = [
    ...likelihoodNotes(result),
    ...unreadNotes(result),
    ...(overlap ? overlapNotes(overlap, result) : []),
  ];
  return [`${train_rows} training rows, ${trained}${tested}`, ...notes.map((note) => `${note}.`)].join(' ');
}

/** What evaluations chose. */
function chosenText(training: NonNullable<TaskResult['training']>): string {
  const { metric_for_best_model: metric, best_step, best_metric } = training;
  if (metric === undefined) return '';
  const best =
    best_step === undefined ? '' : `; best ${metric} ${best_metric!.toFixed(3)} behind step ${best_step}`;
  return `${best}${stopText(training)}`;
}

/** ', stopped early', or by whom; '' for a training that went to its end. */
export function stopText({
  stopped_early,
  stopped_by,
}: Pick<NonNullable<TaskResult['training']>, 'stopped_early' | 'stopped_by'>): string {
  if (!stopped_early) return '';
  return stopped_by === undefined ? ', stopped early' : `, stopped by the ${stopped_by}`;
}

/** Which of the two ways the accuracy by likelihood is of, why, and what the other one gives. */
function likelihoodNotes({ methods }: TaskResult): string[] {
  const figures = (name: string): string | undefined => {
    const known = methods.flatMap(({ metrics }) => metrics[name] ?? []);
    return known.length > 0 ? known.map(percent).join(', ') : undefined;
  };
  const [byLength, bySum] = ['likelihood_accuracy_norm', 'likelihood_accuracy_sum'].map(figures);
  if (byLength !== undefined)
    return [
      `Likelihoods are of whole labels, as the model would write them; for each character of a label (likelihood_normalization: length) the accuracy is ${byLength}`,
    ];
  if (bySum !== undefined)
    return [
      `Likelihoods are for each character of a label, so that long labels have no less of a chance; of whole labels (likelihood_normalization: none) the accuracy is ${bySum}`,
    ];
  return [];
}

function unreadNotes({ methods, test_rows }: TaskResult): string[] {
  const unread = Math.max(0, ...methods.map((method) => method.unread ?? 0));
  return unread > 0 ? [unreadNote(unread, test_rows)] : [];
}

/** In percent with two digits, as tables show figures; '' where there is none. */
export function percent(figure: number | undefined): string {
  return figure === undefined ? '' : (100 * figure).toFixed(2);
}

/** A figure and its interval, in percent: '82.50 [78.13, 86.56]'. */
export function withInterval(figure: number | undefined, interval: Interval | undefined): string {
  return interval
    ? `${percent(figure)} [${percent(interval.low)}, ${percent(interval.high)}]`
    : percent(figure);
}
