/** How the loss fell while each method trained, and what it was trained on. */

import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { readChecked, readSteps } from '../../run/stored.js';
import { curveChart, type Series } from '../charts/curve.js';
import { count, type Block, type Section } from '../document.js';
import { estimate, mainFigure } from '../evidence.js';
import { modelOf, trainRows, varyingModels, type DataSet, type Measurement, type Point } from '../study.js';
import { methodsOf } from './methods.js';

/** More lines cannot be told apart. */
const MOST_LINES = 8;
/** Means of so many stretches of steps: single steps' losses hide the course. */
const STRETCHES = 60;

export function lossSection(set: DataSet): Section | undefined {
  const [figure] = mainFigure(set);
  const { points: methods, names } = methodsOf(set);
  const tuned = methods.filter(({ method }) => method === 'tuned');
  const value = (point: Point): number => estimate(point, figure)?.value ?? -Infinity;
  const best = new Set([...tuned].sort((a, b) => value(b) - value(a)).slice(0, MOST_LINES));
  const points = tuned.filter((point) => best.has(point));
  const models = varyingModels(tuned);
  const series = points.flatMap((point): Series[] => {
    const { run, result } = point.measurements[0]!;
    const steps = readSteps(run, result.task).filter(({ loss }) => Number.isFinite(loss));
    if (steps.length < 2) return [];
    const name = models ? `${modelOf(point)}, ${names.get(point)!}` : names.get(point)!;
    return [{ name, points: smoothed(steps.map(({ step, loss }) => ({ x: step, y: loss }))) }];
  });
  if (series.length === 0) return undefined;
  const rows = new Set(points.map(trainRows));
  const [first] = rows;
  const sizes = rows.size === 1 && first !== undefined ? ` on ${first.toLocaleString('en-US')} rows` : '';
  return {
    id: `loss-${set.slug}`,
    title: 'Training loss',
    blocks: [
      {
        type: 'figure',
        figure: {
          title: `Training loss by step${sizes}`,
          alt: series
            .map((s) => `${s.name}: from ${s.points[0]!.y.toFixed(2)} to ${s.points.at(-1)!.y.toFixed(2)}`)
            .join('; '),
          caption:
            `Mean over each trained token, in nats${series.some((s) => s.points.length === STRETCHES) ? `, averaged over stretches of steps` : ''}` +
            (tuned.length > points.length ? `; the ${points.length} best of ${tuned.length}` : '') +
            `${points.some((p) => p.measurements.length > 1) ? '; of several seeds the first' : ''}.`,
          draw: (width) =>
            curveChart(series, { xTitle: 'step', yTitle: 'loss', ticks: 'round', markers: false }, width),
        },
      },
    ],
  };
}

function smoothed(steps: readonly { x: number; y: number }[]): { x: number; y: number }[] {
  if (steps.length <= STRETCHES) return [...steps];
  return Array.from({ length: STRETCHES }, (_, i) => {
    const part = steps.slice(
      Math.floor((i * steps.length) / STRETCHES),
      Math.floor(((i + 1) * steps.length) / STRETCHES),
    );
    return { x: part.at(-1)!.x, y: part.reduce((sum, { y }) => sum + y, 0) / part.length };
  });
}

const inspectedSchema = z.array(
  z.looseObject({
    row: z.number(),
    shortened: z.boolean(),
    trained: z.number(),
    tokens: z.array(z.looseObject({ text: z.string(), trained: z.boolean() })),
  }),
);

const SHOWN_ROWS = 3;
const SHOWN_TOKENS = 400;

/** Some training rows as tokens, of the first run of the best tuned point that kept them. */
export function inspectedSection(set: DataSet): Section | undefined {
  const pathOf = ({ run, result }: Measurement): string => join(run.folder, result.task, 'inspected.json');
  const kept = set.points
    .filter(({ method }) => method === 'tuned')
    .flatMap(({ measurements }) => measurements)
    .find((measurement) => existsSync(pathOf(measurement)));
  if (!kept) return undefined;
  const rows = readChecked(pathOf(kept), inspectedSchema, 'remove it, and run its configuration again');
  const blocks = rows.slice(0, SHOWN_ROWS).flatMap(({ row, shortened, trained, tokens }): Block[] => [
    {
      type: 'note',
      text: `Row ${row + 1}: ${count(tokens.length, 'token')}, ${trained} of them trained on${shortened ? '; its text was shortened' : ''}${tokens.length > SHOWN_TOKENS ? `; the last ${SHOWN_TOKENS} are shown` : ''}.`,
    },
    {
      type: 'tokens',
      tokens: tokens.slice(-SHOWN_TOKENS).map((token) => ({ text: token.text, trained: token.trained })),
    },
  ]);
  if (blocks.length === 0) return undefined;
  return {
    id: `inspected-${set.slug}`,
    title: 'What was trained on',
    blocks: [
      {
        type: 'text',
        text: `Training rows of run ${kept.run.id}, token by token; the loss is taken on the marked ones.`,
      },
      ...blocks,
    ],
  };
}
