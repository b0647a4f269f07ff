/** What was compared and what came out, as sentences made of the figures. */

import { ALPHA, compareAll, describe, type Context, type Pair } from '../context.js';
import {
  capital,
  count,
  figureText,
  points as pointsText,
  pText,
  type Block,
  type Chapter,
} from '../document.js';
import { mainFigure } from '../../../eval/index.js';
import { estimate } from '../evidence.js';
import { modelOf, trainRows, type DataSet, type Point, type Study } from '../study.js';
import { bestOf } from './answers.js';
import { allNames, methodsOf } from './methods.js';
import { sizeSeries } from './sizes.js';

export function summaryChapter(study: Study, context: Context): Chapter {
  const { runs, damaged, dataSets, trained, repeated } = study;
  const all = [...runs, ...damaged];
  const states = (['finished', 'failed', 'running', 'stopped'] as const)
    .map((state) => ({ state, n: all.filter((run) => run.state === state).length }))
    .filter(({ n }) => n > 0)
    .map(({ state, n }) => `${n} ${state}`);
  const models = new Set([...dataSets.flatMap(({ points }) => points), ...trained].map(modelOf));
  const seeds = new Set(runs.map(({ manifest }) => manifest.config.seed));
  const published = dataSets.some((set) => context.published(set) !== undefined);
  return {
    id: 'summary',
    title: 'Summary',
    sections: [],
    blocks: [
      {
        type: 'text',
        text:
          `${count(all.length, 'run')} (${states.join(', ')})` +
          (dataSets.length > 0 || trained.length === 0
            ? ` on ${count(dataSets.length, 'data set')}, `
            : ', ') +
          (trained.length > 0 ? `${count(trained.length, 'training')} without test rows, ` : '') +
          `${models.size === 1 ? `model ${[...models][0]!}` : count(models.size, 'model')}, ${count(seeds.size, 'seed')}.` +
          (repeated > 0
            ? ` ${count(repeated, 'figure')} ${repeated === 1 ? 'was' : 'were'} measured twice with the same settings and seed, and shown once.`
            : ''),
      },
      ...dataSets.flatMap((set): Block[] => [
        { type: 'heading', text: `${capital(set.title)} (${count(set.testRows, 'test row')})` },
        { type: 'list', items: findings(set) },
      ]),
      {
        type: 'note',
        text:
          'Intervals are of 95 % over the test rows, of shares by Wilson, else by bootstrap; p values are two-sided paired tests over the test rows, corrected by ' +
          'Holm’s method within each table and each summary. A method that is called best was chosen by the same test rows, so that its figure flatters it.' +
          (published
            ? ' Columns marked as published hold figures that others printed, not measured here.'
            : ''),
      },
    ],
  };
}

function listed(names: readonly string[]): string {
  // Names with commas in them would run together.
  const [between, last] = names.some((name) => name.includes(',')) ? ['; ', '; and'] : [', ', ' and'];
  if (names.length > MOST_TIED)
    return `${names.slice(0, MOST_TIED).join(between)}${last} ${names.length - MOST_TIED} more`;
  return `${names.slice(0, -1).join(between)}${last} ${names.at(-1)!}`;
}

const MOST_TIED = 4;

function tiedWith(names: readonly string[]): string {
  return names.length === 1 ? `is ${names[0]!}` : `are ${listed(names)}, tied,`;
}

/** The best method, what it is worth against the best baseline and the next best, and what more data does. */
function findings(set: DataSet): string[] {
  const [figure, head] = mainFigure(set);
  const names = allNames(set);
  const best = bestOf(set, set.points);
  if (!best) return [];
  const tuned = set.points.filter(({ method }) => method === 'tuned');
  const baseline = bestOf(
    set,
    set.points.filter(({ method }) => method !== 'tuned' && method !== best.method),
  );
  const next = bestOf(
    set,
    methodsOf(set).points.filter((p) => p !== best && p.method === 'tuned'),
  );
  const against: Pair[] = [baseline, next]
    .filter((point) => point !== undefined)
    .map((point) => ({ point, reference: best, name: describe(best, names) }));
  const compared = compareAll(against, figure);
  const difference = (other: Point): string => {
    const test = compared.get(other);
    if (!test) return '';
    const gap = pointsText(-test.comparison.difference);
    const sure = test.pHolm <= ALPHA ? 'significant' : 'not significant';
    return `${gap} points, p ${test.pHolm < 0.001 ? '' : '= '}${pText(test.pHolm)}, ${sure}`;
  };
  const value = (point: Point): number | undefined => estimate(point, figure)?.value;
  /** All that have the same figure as one, that one first. */
  const level = (one: Point, among: readonly Point[]): string[] =>
    [one, ...among.filter((other) => other !== one && value(other) === value(one))].map((point) =>
      describe(point, names),
    );
  const tied = level(best, set.points);
  const sentences = [
    `Of ${count(set.points.length, 'way')} of answering, ${
      tied.length === 1 ? `${tied[0]!} is best` : `${listed(tied)} are tied for the best`
    }, with ${head} ${figureText(estimate(best, figure)!)}.`,
  ];
  if (baseline)
    sentences.push(
      `${best.method === 'tuned' ? 'The best' : 'The best other'} without tuning ${tiedWith(
        level(
          baseline,
          set.points.filter(({ method }) => method !== 'tuned'),
        ),
      )} with ${figureText(estimate(baseline, figure)!)} (${difference(baseline)}).`,
    );
  if (next)
    sentences.push(
      `${value(next) === value(best) ? 'Level with it' : 'Next best'} among the tuned is ${describe(next, names)}, ${figureText(estimate(next, figure)!)} (${difference(next)}).`,
    );
  const growth = sizeSeries(tuned)
    .map((series) => ({ series, value: estimate(series.at(-1)!, figure)!.value }))
    .sort((a, b) => b.value - a.value)[0];
  if (growth) {
    const [first, last] = [growth.series[0]!, growth.series.at(-1)!];
    const [from, to] = [estimate(first, figure)!, estimate(last, figure)!];
    sentences.push(
      `From ${trainRows(first)!.toLocaleString('en-US')} to ${trainRows(last)!.toLocaleString('en-US')} training rows ` +
        `${names.get(last)!} goes from ${figureText(from)} to ${figureText(to)}.`,
    );
  }
  return sentences;
}
