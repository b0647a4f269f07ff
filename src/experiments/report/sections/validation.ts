/** What evaluations chose: the best step of each training, and whether it ended for want of a better one. */

import { readSteps } from '../../store/stored.js';
import { csvFigure, toCsv, type CsvCell } from '../csv.js';
import { percent1, type Cell, type ReportBlock } from '../document.js';
import { modelOf, type Setting, type Trained } from '../findings.js';

/** A training, and what it is called where it is told. */
export interface NamedTraining {
  readonly name: string;
  readonly setting: Setting;
  readonly training: Pick<Trained, 'run' | 'result'> & { readonly seed?: number | undefined };
}

/** What was chosen as a table, and as a CSV; nothing where no training was evaluated. */
export function validationBlocks(
  trainings: readonly NamedTraining[],
  csv: (text: string) => void,
): ReportBlock[] {
  const rows = trainings.flatMap((of) => chosenOf(of) ?? []);
  if (rows.length === 0) return [];
  csv(sheet(rows));
  return [
    {
      type: 'table',
      table: {
        caption:
          'What evaluations on validation rows chose; the best is flattered by the choice, as every best of many is.',
        heads: [
          { text: 'training', words: true },
          { text: 'validation rows' },
          { text: 'best by', words: true },
          { text: 'best' },
          { text: 'best step' },
          { text: 'steps' },
          { text: 'kept', words: true },
        ],
        rows: rows.map(({ name, run, validationRows, metric, best, steps, planned, early, kept }): Cell[] => [
          { text: name, detail: run },
          { text: validationRows?.toLocaleString('en-US') ?? '–' },
          { text: metric },
          { text: best === undefined ? '–' : figureText(metric, best.figure) },
          { text: best?.step.toLocaleString('en-US') ?? '–' },
          {
            text: steps.toLocaleString('en-US'),
            ...(early && { detail: `of ${planned.toLocaleString('en-US')}, stopped early` }),
          },
          { text: kept === best?.step ? 'the best' : 'the last' },
        ]),
      },
    },
  ];
}

/** Losses are in nats, all other figures shares. */
function figureText(metric: string, figure: number): string {
  if (!Number.isFinite(figure)) return '–';
  return metric.endsWith('loss') ? figure.toFixed(3) : `${percent1(figure)} %`;
}

interface Chosen {
  readonly name: string;
  readonly of: NamedTraining;
  readonly run: string;
  readonly validationRows: number | undefined;
  readonly metric: string;
  readonly best: { readonly step: number; readonly figure: number } | undefined;
  readonly steps: number;
  readonly planned: number;
  readonly early: boolean;
  /** The step that what was trained is of. */
  readonly kept: number;
}

function chosenOf(of: NamedTraining): Chosen | undefined {
  const { run, result } = of.training;
  const { training } = result;
  const metric = training?.metric_for_best_model;
  if (!training || metric === undefined) return undefined;
  const { steps, best_step, best_metric = Number.NaN, stopped_early = false } = training;
  const settings = run.manifest.config.tasks.find(({ name }) => name === result.task)?.training;
  const keepsBest = settings?.load_best_model_at_end === true && best_step !== undefined;
  return {
    ...{ name: of.name, of, run: run.id, validationRows: result.validation_rows, metric, steps },
    best: best_step === undefined ? undefined : { step: best_step, figure: best_metric },
    planned: readSteps(run, result.task).at(-1)?.steps ?? steps,
    early: stopped_early,
    kept: keepsBest ? best_step : steps,
  };
}

function sheet(rows: readonly Chosen[]): string {
  return toCsv(
    [
      ...['run', 'task', 'model', 'method', 'variant', 'seed', 'validation_rows', 'metric_for_best_model'],
      ...['best_metric', 'best_step', 'steps', 'planned_steps', 'stopped_early', 'kept_step'],
    ],
    rows.map(({ of, run, validationRows, metric, best, steps, planned, early, kept }): CsvCell[] => [
      ...[run, of.training.result.task, modelOf(of.setting), of.setting.way, of.name, of.training.seed],
      ...[validationRows, metric, csvFigure(best?.figure), best?.step, steps, planned, String(early), kept],
    ]),
  );
}
