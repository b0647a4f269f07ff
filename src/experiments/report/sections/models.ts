/** Table 3: models beside one another, each by its best tuned settings (or its best baseline). */

import { dotChart, type Dot } from '../charts/dots.js';
import { compareAll, type Context } from '../context.js';
import { capital, figureCell, points as pointsText, pText, type Cell, type Section } from '../document.js';
import { figureHeads, mainFigure } from '../../../eval/index.js';
import { estimate } from '../evidence.js';
import { sheet } from '../sheet.js';
import { groupBy, modelOf, namesOf, trainRows, varyingModels, type DataSet, type Point } from '../study.js';
import { range } from './methods.js';
import { reading } from './sizes.js';

export function modelSection(set: DataSet, context: Context): Section | undefined {
  if (!varyingModels(set.points)) return undefined;
  const [figure, head] = mainFigure(set);
  const value = (point: Point): number => estimate(point, figure)?.value ?? -Infinity;
  const names = namesOf(set.points);
  const best = groupBy(set.points, modelOf)
    .map((all) => {
      const tuned = all.filter(({ method }) => method === 'tuned');
      return (tuned.length > 0 ? tuned : all).reduce((a, b) => (value(b) > value(a) ? b : a));
    })
    .sort((a, b) => value(b) - value(a) || (modelOf(a) < modelOf(b) ? -1 : 1));
  const [first, ...others] = best;
  const compared = compareAll(
    others.map((point) => ({ point, reference: first!, name: modelOf(first!) })),
    figure,
  );
  const figures = figureHeads(set).filter(([name]) => best.some((point) => estimate(point, name)));
  const rows = best.map((point): Cell[] => {
    const test = compared.get(point);
    return [
      { text: modelOf(point) },
      {
        text: names.get(point)!,
        ...(point.method === 'tuned' && {
          detail: `${trainRows(point)!.toLocaleString('en-US')} training rows`,
        }),
      },
      ...figures.map(([name]) => figureCell(estimate(point, name), point === first && name === figure)),
      ...(test
        ? [
            { text: pointsText(test.comparison.difference), detail: range(test.comparison.interval) },
            { text: pText(test.pHolm) },
          ]
        : [{ text: point === first ? 'reference' : '–' }, { text: '' }]),
    ];
  });
  context.csv(
    `models-${set.slug}.csv`,
    sheet(
      best.flatMap((point) =>
        figures.map(([name]) => ({
          set,
          point,
          variant: names.get(point)!,
          figure: name,
          estimate: estimate(point, name),
          compared: name === figure ? compared.get(point) : undefined,
        })),
      ),
    ),
  );
  const dots = best.map((point): Dot => {
    const { value: of, interval } = estimate(point, figure)!;
    return {
      name: modelOf(point),
      value: 100 * of,
      ...(interval && { low: 100 * interval.low, high: 100 * interval.high }),
      group: 0,
    };
  });
  return {
    id: `models-${set.slug}`,
    title: 'Models',
    blocks: [
      {
        type: 'figure',
        figure: {
          title: `${capital(head)} of each model's best settings`,
          alt: dots.map((d) => `${d.name} ${d.value.toFixed(1)}`).join('; '),
          caption: 'Points are figures over all test rows, lines their 95 % intervals.',
          draw: (width) => dotChart(dots, `${head} (%)`, true, width),
        },
      },
      {
        type: 'table',
        table: {
          caption:
            `In percent, ${reading(best)}. Settings are those that did best on these test rows, which flatters them all. Differences in points ` +
            `from ${modelOf(first!)}; p of the paired test, after Holm's correction for ${compared.size} comparison${compared.size === 1 ? '' : 's'}.`,
          heads: [
            { text: 'model', words: true },
            { text: 'settings', words: true },
            ...figures.map(([, text]) => ({ text })),
            { text: `difference in ${head}` },
            { text: 'p' },
          ],
          rows,
        },
      },
    ],
  };
}
