/** Trainings whose task has no test rows: what they are, how the loss fell, and what was trained on. */

import type { Context } from '../context.js';
import { csvFigure, toCsv, type CsvCell } from '../csv.js';
import { count, type Cell, type Chapter, type Section } from '../document.js';
import {
  groupBy,
  modelOf,
  namesOf,
  trainRows,
  varyingModels,
  type Findings,
  type Trained,
} from '../findings.js';
import { lossBlocks, mostLines } from './losses.js';
import { validationBlocks } from './validation.js';
import { inspectedBlocks } from './inspected.js';

export function trainedChapter({ trained }: Findings, context: Context): Chapter | undefined {
  if (trained.length === 0) return undefined;
  const sections = groupBy(trained, ({ result }) => result.task).map((group, place) =>
    taskSection(group, place, context),
  );
  context.csv('trained.csv', sheet(trained));
  const text =
    'Their tasks have no test rows: a loss on what was trained on says how training went, not how good it is.';
  return {
    id: 'trained',
    title: 'Trainings without a test',
    blocks: [{ type: 'text', text }],
    sections,
  };
}

function taskSection(trainings: readonly Trained[], place: number, context: Context): Section {
  const names = labels(trainings);
  const lowest = [...trainings]
    .sort((a, b) => lastLoss(a) - lastLoss(b))
    .slice(0, mostLines(trainings.map(({ result }) => result)));
  const shown = trainings.filter((training) => lowest.includes(training));
  const lines = shown.map((training) => {
    const { run, result } = training;
    return { name: names.get(training)!, run, result, rows: trainRows(training) };
  });
  const notes =
    trainings.length > shown.length
      ? [`the ${shown.length} of ${trainings.length} whose last loss is lowest`]
      : [];
  const [{ result }] = trainings as readonly [Trained];
  return {
    id: `trained-${place + 1}`,
    title: result.task,
    blocks: [
      ...lossBlocks(lines, notes),
      {
        type: 'table',
        table: {
          caption: `${count(trainings.length, 'training')}; losses are means over a step's trained tokens, in nats.`,
          heads: [
            { text: 'training', words: true },
            { text: 'training rows' },
            { text: 'steps' },
            { text: 'tokens' },
            { text: 'first loss' },
            { text: 'last loss' },
          ],
          rows: trainings.map((training): Cell[] => {
            const { steps, tokens, first_loss, last_loss } = training.result.training!;
            return [
              { text: names.get(training)!, detail: training.run.id },
              { text: trainRows(training)!.toLocaleString('en-US') },
              { text: steps.toLocaleString('en-US') },
              { text: tokens.toLocaleString('en-US') },
              ...[first_loss, last_loss].map((loss) => ({
                text: Number.isFinite(loss) ? loss.toFixed(3) : '–',
              })),
            ];
          }),
        },
      },
      ...validationBlocks(
        trainings.map((training) => ({ name: names.get(training)!, setting: training, training })),
        (text) => context.csv(`validation-trained-${place + 1}.csv`, text),
      ),
      ...inspectedBlocks(trainings),
    ],
  };
}

/** Settings that differ, and model and seed where those do. */
function labels(trainings: readonly Trained[]): Map<Trained, string> {
  const names = namesOf(trainings);
  const models = varyingModels(trainings);
  const seeds = new Set(trainings.map(({ seed }) => seed)).size > 1;
  return new Map(
    trainings.map((training) => [
      training,
      [
        ...(models ? [modelOf(training)] : []),
        names.get(training)!,
        ...(seeds ? [`seed ${training.seed}`] : []),
      ].join(', '),
    ]),
  );
}

function lastLoss({ result }: Trained): number {
  const { last_loss } = result.training!;
  return Number.isFinite(last_loss) ? last_loss : Infinity;
}

function sheet(trainings: readonly Trained[]): string {
  const heads = ['run', 'task', 'model', 'method', 'variant', 'seed', 'training_rows', 'steps', 'tokens'];
  const byTask = groupBy(trainings, ({ result }) => result.task);
  const rows = byTask.flatMap((group) => {
    const names = namesOf(group);
    return group.map((training): CsvCell[] => {
      const { run, result, seed, way } = training;
      const { steps, tokens, first_loss, last_loss } = result.training!;
      return [
        ...[run.id, result.task, modelOf(training), way, names.get(training)!, seed, trainRows(training)],
        ...[steps, tokens, csvFigure(first_loss), csvFigure(last_loss)],
      ];
    });
  });
  return toCsv([...heads, 'first_loss', 'last_loss'], rows);
}
