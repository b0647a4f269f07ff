/** Every run: its settings and figures, its manifest, and why those without figures have none. */

import { readText } from '../../../util/read.js';
import { RUN_FILES } from '../../store/layout.js';
import type { StoredRun } from '../../store/stored.js';
import type { Context } from '../context.js';
import { csvFigure, toCsv, type CsvCell } from '../csv.js';
import { count, figureCell, type ReportBlock, type Cell, type Chapter, type Section } from '../document.js';
import { figureHeads, mainFigure } from '../../../eval/index.js';
import { methodName } from '../../../tasks/index.js';
import { estimate } from '../evidence.js';
import { axisName, MODEL, TRAIN_ROWS, varying } from '../factors.js';
import {
  PUBLISHED_CURVES,
  PUBLISHED_SIZES,
  PUBLISHED_SOURCE,
  PUBLISHED_SUMMARIES,
  type PublishedName,
} from '../published.js';
import {
  inOrder,
  inStep,
  modelOf,
  trainRows,
  varyingModels,
  type DataSet,
  type Findings,
} from '../findings.js';
import { unanswered } from './methods.js';

/** Longer tables are folded away. */
const MOST_ROWS = 16;

/** All points of a data set, with the settings that vary as columns. */
export function allSection(set: DataSet, context: Context): Section {
  const figures = figureHeads(set).filter(([name]) => set.points.some((point) => estimate(point, name)));
  const tuned = set.points.filter(({ method }) => method === 'tuned');
  const varied = varying(tuned).filter(
    (name) => name !== MODEL && name !== TRAIN_ROWS && !name.endsWith('.content'),
  );
  // Of what a search draws each says all others: none of them stands for the rest.
  const drawn = tuned.some(({ measurements }) => measurements.some(({ run }) => run.manifest.config.search));
  const columns = drawn ? inOrder(varied) : inStep(varied, tuned);
  const models = varyingModels(set.points);
  context.csv(`runs-${set.slug}.csv`, runsSheet(set, columns, figures));
  const seeds = set.points.some(({ measurements }) => measurements.length > 1);
  const block: ReportBlock = {
    type: 'table',
    table: {
      caption:
        `All that was measured on ${set.source}, in percent with 95 % intervals` +
        `${seeds ? '; mean ± standard deviation where there are several seeds' : ''}.`,
      heads: [
        { text: 'method', words: true },
        ...(models ? [{ text: 'model', words: true }] : []),
        { text: 'training rows' },
        ...columns.map((name) => ({ text: axisName(name) })),
        ...(seeds ? [{ text: 'seeds' }] : []),
        ...figures.map(([, text]) => ({ text })),
        { text: 'no answer' },
      ],
      rows: set.points.map((point): Cell[] => [
        { text: point.way },
        ...(models ? [{ text: modelOf(point) }] : []),
        { text: trainRows(point)?.toLocaleString('en-US') ?? '–' },
        ...columns.map((name) => ({ text: String(point.factors[name] ?? '–') })),
        ...(seeds ? [{ text: String(point.measurements.length) }] : []),
        ...figures.map(([name]) => figureCell(estimate(point, name))),
        { text: unanswered(point) },
      ]),
    },
  };
  const blocks: ReportBlock[] =
    set.points.length > MOST_ROWS
      ? [
          {
            type: 'details',
            summary: `All ${set.points.length} settings with their figures`,
            blocks: [block],
          },
        ]
      : [block];
  return { id: `all-${set.slug}`, title: 'All runs', blocks };
}

/** A line a measurement. */
function runsSheet(
  set: DataSet,
  columns: readonly string[],
  figures: readonly (readonly [name: string, head: string])[],
): string {
  const measured = set.points.flatMap((point) =>
    point.measurements.map((measurement) => ({ point, measurement })),
  );
  return toCsv(
    [
      'run',
      'task',
      'test_data',
      'method',
      'model',
      'seed',
      'training_rows',
      ...columns,
      'test_rows',
      'no_answer',
      ...figures.flatMap(([name]) => [name, `${name}_low`, `${name}_high`]),
    ],
    measured.map(({ point, measurement: { run, seed, figures: of } }): CsvCell[] => [
      run.id,
      set.task,
      set.source,
      point.way,
      modelOf(point),
      seed,
      trainRows(point),
      ...columns.map((name) => cellOf(point.factors[name])),
      set.testRows,
      of.unanswered,
      ...figures.flatMap(([name]) => [
        csvFigure(of.metrics[name]),
        csvFigure(of.intervals[name]?.low),
        csvFigure(of.intervals[name]?.high),
      ]),
    ]),
  );
}

function cellOf(value: string | number | boolean | undefined): CsvCell {
  return typeof value === 'boolean' ? String(value) : value;
}

/** Runs that have no figures, or not all. */
export function unfinishedChapter({ runs, damaged }: Findings): Chapter | undefined {
  const rest = runs.filter(({ state }) => state !== 'finished');
  const missing = rest.length + damaged.length;
  if (missing === 0) return undefined;
  const done = (run: StoredRun): string => {
    const tasks = run.manifest.config.tasks.length;
    return run.results.length === 0 ? 'nothing' : `${run.results.length} of ${count(tasks, 'task')}`;
  };
  return {
    id: 'unfinished',
    title: 'Runs without a result',
    sections: [],
    blocks: [
      {
        type: 'table',
        table: {
          caption: `${count(missing, 'run')} of ${runs.length + damaged.length} failed or did not end; running the study again goes on with them.`,
          heads: [
            { text: 'run', words: true },
            { text: 'state', words: true },
            { text: 'tasks', words: true },
            { text: 'done', words: true },
            { text: 'cause', words: true },
          ],
          rows: [
            ...rest.map((run): Cell[] => [
              { text: run.id },
              { text: run.state },
              { text: run.manifest.config.tasks.map(({ name }) => name).join(', ') },
              { text: done(run) },
              { text: run.failure ?? (run.state === 'running' ? 'still at work' : 'stopped before its end') },
            ]),
            ...damaged.map(({ id, state, failure }): Cell[] => [
              ...[id, state, '–', '–', failure].map((text) => ({ text })),
            ]),
          ],
        },
      },
    ],
  };
}

/** Each run's manifest as it lies in its folder: in the HTML alone, since it says when and where. */
export function manifestChapter({ runs, dataSets }: Findings): Chapter {
  const figures = (run: StoredRun): string =>
    dataSets
      .flatMap((set) => {
        const [name, head] = mainFigure(set);
        return set.points.flatMap(({ measurements, way }) =>
          measurements
            .filter((measurement) => measurement.run === run)
            .map(
              ({ figures: { metrics } }) =>
                `${set.title} ${way} ${head} ${(100 * (metrics[name] ?? NaN)).toFixed(1)}`,
            ),
        );
      })
      .join('; ');
  return {
    id: 'manifests',
    title: 'Manifests',
    sections: [],
    blocks: [
      {
        type: 'html-only',
        blocks: runs.map((run) => ({
          type: 'details',
          summary: `${run.id}: ${figures(run) || run.state}`,
          blocks: [{ type: 'code', text: readText(RUN_FILES.manifest.in(run.folder)).trimEnd() }],
        })),
      },
    ],
  };
}

/** The published figures in full, where some stand beside runs. */
export function publishedChapter(names: ReadonlySet<PublishedName>): Chapter | undefined {
  if (names.size === 0) return undefined;
  const blocks: ReportBlock[] = [
    {
      type: 'text',
      text: `Printed by ${PUBLISHED_SOURCE} (2023), not measured here: other hardware, other splits, answers cut and scored in other ways.`,
    },
  ];
  if (names.has('20newsgroups')) {
    blocks.push({
      type: 'table',
      table: {
        caption:
          '20 Newsgroups: accuracy in percent by training rows. The Mistral-7B column is the first version’s, which printed it under Zephyr’s name.',
        heads: [
          { text: 'training rows' },
          ...PUBLISHED_CURVES.map(({ model, variant }) => ({
            text: `${model}, ${variant}`,
            published: true,
          })),
        ],
        rows: PUBLISHED_SIZES.map(([rows, fraction], i): Cell[] => [
          { text: rows.toLocaleString('en-US'), detail: `${100 * fraction} %` },
          ...PUBLISHED_CURVES.map(({ accuracy }) => ({ text: accuracy[i]!.toFixed(2) })),
        ]),
      },
    });
  }
  if (names.has('samsum')) {
    blocks.push({
      type: 'table',
      table: {
        caption: 'SAMSum: ROUGE in percent. Flan-T5-Base was fine-tuned whole.',
        heads: [
          { text: 'model', words: true },
          { text: 'method', words: true },
          { text: 'ROUGE-1', published: true },
          { text: 'ROUGE-2', published: true },
        ],
        rows: PUBLISHED_SUMMARIES.map(({ model, method, variant, rouge1, rouge2 }): Cell[] => [
          { text: model },
          { text: variant === 'plain' ? methodName(method) : `${methodName(method)}, ${variant}` },
          { text: rouge1.toFixed(2) },
          { text: rouge2.toFixed(2) },
        ]),
      },
    });
  }
  return { id: 'published', title: 'Published figures', blocks, sections: [] };
}
