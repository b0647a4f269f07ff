/**
 * Checks after a run: figures of each answer beside the task's own metric, with thresholds that can fail the command. They are computed
 * from the predictions and are no part of a run's id: other checks are computed over the same answers.
 */

import { constants } from 'node:buffer';
import { createHash } from 'node:crypto';
import { MEASURES } from '../../eval/measures.js';
import { alikeInterval, areAlike, meanIntervals, shareInterval } from '../../eval/index.js';
import type { Method } from '../../tasks/index.js';
import { UserError } from '../../util/errors.js';
import { own } from '../../util/own.js';
import { readText } from '../../util/read.js';
import { canonicalJson, type ResolvedTask } from '../config/index.js';
import type { TaskResult } from '../store/results.js';
import type { TaskData } from '../data/task-data.js';
import type { ChecksFile } from '../store/check-figures.js';
import { firstLine, type CheckRow, type LoadedCheck } from './load.js';
import { TASK_FILES } from '../store/layout.js';

/** Adds the checks' figures to a task's result, and writes them; those that stand there already are taken. */
export async function withChecks(
  result: TaskResult,
  checks: readonly LoadedCheck[],
  settings: ResolvedTask,
  folder: string,
  data: () => Promise<TaskData>,
): Promise<TaskResult> {
  if (checks.length === 0) return result;
  const methods: TaskResult['methods'][number][] = [];
  for (const answered of result.methods)
    methods.push({
      ...answered,
      checks: await checkMethod(answered.method, checks, settings, folder, data),
    });
  return { ...result, methods };
}

async function checkMethod(
  method: Method,
  checks: readonly LoadedCheck[],
  settings: ResolvedTask,
  folder: string,
  data: () => Promise<TaskData>,
): Promise<ChecksFile['checks']> {
  const answers = TASK_FILES.predictions(
    method,
    settings.scoring === 'likelihood' ? 'likelihood' : 'generate',
  );
  const from = createHash('sha256')
    .update(canonicalJson(checks))
    .update(readText(answers.in(folder), constants.MAX_STRING_LENGTH))
    .digest('hex')
    .slice(0, 16);
  const kept = TASK_FILES.checks(method);
  const there = kept.find(folder);
  if (there?.from === from) return there.checks;
  const predictions = answers.read(folder).sort((a, b) => a.row - b.row);
  // Only a check of the user's own looks at the row beside its answer.
  const rows = checks.some(({ source }) => source !== undefined) ? (await data()).test : [];
  const samples = new Map(rows.map((sample) => [sample.row, sample.values]));
  const byName = new Map<string, number[]>();
  for (const check of checks) {
    const figures: number[] = [];
    byName.set(check.name, figures);
    for (const { row, reference, answer, text } of predictions) {
      // A copy for each: what a check writes to its row reaches nobody else.
      const columns = { ...samples.get(row) };
      const given = { row, method, reference, answer, ...(text !== undefined && { text }), columns };
      figures.push(await figureOf(check, given));
    }
  }
  const intervals = meanIntervals(Object.fromEntries(byName));
  const total = predictions.length;
  const figures = checks.map(({ check, name, min, max, source }) => {
    const values = byName.get(name)!;
    const sum = values.reduce((a, b) => a + b, 0);
    // A user's check that says true or false of each row has a share; the named ones are measures.
    const share = source !== undefined && values.every((v) => v === 0 || v === 1);
    // Answers may be any number of times as long as their references.
    const range = [0, 2 * Math.max(1, ...values)] as const;
    const interval = share
      ? shareInterval(sum, total)
      : own(MEASURES, check)?.unbounded === true && areAlike(values)
        ? alikeInterval(values, undefined, range)
        : intervals[name]!;
    const bounds = { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
    return [name, { mean: sum / total, interval, ...bounds }] as const;
  });
  const file: ChecksFile = {
    from,
    checks: Object.fromEntries(figures),
    rows: predictions.map(({ row }, i) => ({
      row,
      ...Object.fromEntries(checks.map(({ name }) => [name, byName.get(name)![i]!])),
    })),
  };
  kept.write(folder, file);
  return file.checks;
}

async function figureOf({ check, run }: LoadedCheck, row: CheckRow): Promise<number> {
  const where = `the check ${check}, ${row.method} answer of test row ${row.row + 1}`;
  let figure: number | boolean;
  try {
    figure = await run(row);
  } catch (error) {
    throw new UserError(`${where}: ${firstLine(error)}`);
  }
  if (typeof figure === 'boolean') return figure ? 1 : 0;
  if (typeof figure !== 'number' || !Number.isFinite(figure))
    throw new UserError(
      `${where}: it gave ${String(figure)}; a check gives a finite number, or true or false`,
    );
  return figure;
}
