/** What searches tried: every trial with its place by the validation rows, those among them that were stopped on the way. */

import { join } from 'node:path';
import { readSteps } from '../../store/stored.js';
import {
  bestText,
  FLATTERED,
  searchEnd,
  searchesOf,
  type SearchEnd,
  type Trial,
} from '../../store/trials.js';
import type { Context } from '../context.js';
import { csvFigure, toCsv, type CsvCell } from '../csv.js';
import { count, type Cell, type Chapter, type ReportBlock, type Section } from '../document.js';
import { valueInText, varying } from '../factors.js';
import { inOrder, type Findings, type Trained } from '../findings.js';

/** Longer tables are folded away. */
const MOST_ROWS = 16;

/** A run of a search. */
interface Drawn extends Trained {
  readonly config: Trained['run']['manifest']['config'];
  readonly folder: string;
}

/** And its settings in words. */
interface NamedRun extends Drawn {
  readonly name: string;
}

export function searchChapter({ searched }: Findings, context: Context): Chapter | undefined {
  const drawn = searched.map((of): Drawn => {
    const { run, result } = of;
    return { ...of, config: run.manifest.config, folder: join(run.folder, result.task) };
  });
  const ends = searchesOf(drawn).flatMap((runs) => searchEnd(named(runs)) ?? []);
  if (ends.length === 0) return undefined;
  context.csv('trials.csv', sheet(ends));
  return {
    id: 'searches',
    title: ends.length === 1 ? 'Search' : 'Searches',
    blocks: [{ type: 'note', text: FLATTERED }],
    sections: ends.map(searchSection),
  };
}

/** By all that the search drew: each of it says all others, so that none stands for the rest. */
function named(runs: readonly Drawn[]): NamedRun[] {
  const factors = inOrder(varying(runs).filter((factor) => !factor.endsWith('.content')));
  return runs.map((run) => ({
    ...run,
    name: [run.way, ...factors.map((factor) => valueInText(factor, run.factors[factor]))].join(', '),
  }));
}

function searchSection(end: SearchEnd<NamedRun>, place: number): Section {
  const { method, tried, trials, stopped, metric } = end;
  const best = end.best && `The ${bestText(end)!}: ${end.best.runs[0]!.name} (trial ${end.best.trial}).`;
  const ways = stopped > 0 ? [`${stopped} of them stopped on the way, for others were better by then`] : [];
  const told = [`A search (${method}) tried ${tried.length} of ${count(trials, 'trial')}`, ...ways].join(
    '; ',
  );
  const unranked = metric === undefined ? 'None of them was evaluated on validation rows.' : undefined;
  const table: ReportBlock = {
    type: 'table',
    table: {
      caption:
        'The trials, the best by the validation rows first; those that were stopped have no place and were not tested.',
      heads: [
        { text: 'place' },
        { text: 'trial' },
        { text: 'settings', words: true },
        { text: metric === undefined ? 'validation' : `validation ${metric}` },
        { text: 'steps' },
        { text: 'end', words: true },
      ],
      rows: tried.map((trial, i): Cell[] => [
        { text: placeOf(trial, i) },
        { text: String(trial.trial), detail: trial.runs.map(({ run }) => run.id).join(', ') },
        { text: trial.runs[0]!.name },
        { text: Number.isNaN(trial.figure) ? '–' : trial.figure.toFixed(4) },
        { text: stepsOf(trial) },
        {
          text: trial.stopped
            ? 'stopped by the search'
            : trial.runs.some(isEarly)
              ? 'stopped early'
              : 'whole',
        },
      ]),
    },
  };
  const [{ result }] = tried[0]!.runs as readonly [NamedRun];
  return {
    id: `search-${place + 1}`,
    title: result.task,
    blocks: [
      { type: 'text', text: [`${told}.`, best, unranked].filter((part) => part !== undefined).join(' ') },
      tried.length > MOST_ROWS
        ? { type: 'details', summary: `All ${tried.length} trials`, blocks: [table] }
        : table,
    ],
  };
}

function placeOf({ stopped, figure }: Trial, i: number): string {
  return stopped || Number.isNaN(figure) ? '–' : String(i + 1);
}

function isEarly({ result }: Drawn): boolean {
  return result.training!.stopped_early === true;
}

/** '4 of 16'; of several seeds the sums. */
function stepsOf({ runs }: Trial<Drawn>): string {
  const sum = (part: (run: Drawn) => number): number => runs.reduce((n, run) => n + part(run), 0);
  const done = sum(({ result }) => result.training!.steps);
  return `${done.toLocaleString('en-US')} of ${sum(plannedSteps).toLocaleString('en-US')}`;
}

function plannedSteps({ run, result }: Drawn): number {
  return readSteps(run, result.task).at(-1)?.steps ?? result.training!.steps;
}

function sheet(ends: readonly SearchEnd<NamedRun>[]): string {
  return toCsv(
    [
      ...['task', 'method', 'place', 'trial', 'run', 'seed', 'settings', 'metric', 'validation'],
      ...['steps', 'planned_steps', 'stopped_by_search'],
    ],
    ends.flatMap(({ method, metric, tried }) =>
      tried.flatMap((trial, i) =>
        trial.runs.map((of): CsvCell[] => [
          ...[of.result.task, method, placeOf(trial, i), trial.trial, of.run.id, of.seed, of.name, metric],
          ...[csvFigure(trial.figure), of.result.training!.steps, plannedSteps(of), String(trial.stopped)],
        ]),
      ),
    ),
  );
}
