/** A few training rows as the model sees them, kept beside a run's figures. */

import { epochOrder, type Block } from '../../data/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import type { ResolvedTask } from '../config/index.js';
import { showRow, type ShownRow } from '../data/shown-rows.js';
import type { TaskData } from '../data/task-data.js';
import { TASK_FILES } from '../store/layout.js';

/** Rows that a run shows. */
const SHOWN = 5;

/** Writes the first rows of the first epoch to `folder`, once. */
export async function writeInspected(
  folder: string,
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: Tokenizer,
  blocks: readonly Block[],
): Promise<void> {
  if (TASK_FILES.inspected.isIn(folder)) return;
  const order = epochOrder(blocks.length, settings.training.seed, 0);
  const rows: number[] = [];
  for (const index of order) {
    if (rows.length >= SHOWN) break;
    rows.push(...blocks[index]!.rows.filter((row) => !rows.includes(row)));
  }
  const samples = new Map(data.train.map((sample) => [sample.row, sample]));
  const shown: ShownRow[] = [];
  for (const row of rows.slice(0, SHOWN))
    shown.push(await showRow(data, settings, tokenizer, samples.get(row)!));
  TASK_FILES.inspected.write(folder, shown);
}
