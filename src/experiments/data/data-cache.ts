/** Data that several runs of one process read alike: read, sampled, tokenized and packed once. */

import type { Block } from '../../data/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import { canonicalJson, type ResolvedTask } from '../config/index.js';
import { SPLIT_NAMES } from '../config/splits.js';
import { refuseHeldOut } from './held-out.js';
import { refuseOverlap } from './overlap.js';
import { readTaskData, trainingBlocks, type TaskData } from './task-data.js';

interface Packed {
  readonly blocks: readonly Block[];
  readonly notices: readonly string[];
}

export class DataCache {
  private readonly read = new Map<string, Promise<TaskData>>();
  private readonly packed = new WeakMap<TaskData, Map<string, Promise<Packed>>>();

  /** `signal` ends what is being read. */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly signal?: AbortSignal,
  ) {}

  /** As `readTaskData`. Throws UserError for a task that must not be run on its rows, too. */
  async data(task: ResolvedTask, seed: number): Promise<TaskData> {
    const sources = SPLIT_NAMES.map((split) => task[split] ?? null);
    const key = canonicalJson([
      task.settings,
      sources,
      seed,
      task.deduplicate ?? null,
      task.decontaminate ?? null,
    ]);
    const reading = this.read.get(key) ?? readTaskData(task, seed, this.signal);
    this.read.set(key, reading);
    const data = await reading;
    refuseOverlap(task, data);
    refuseHeldOut(task, data);
    return data;
  }

  /** As `trainingBlocks`, of the rows that are trained on or of those that a training is evaluated on. */
  blocks(data: TaskData, task: ResolvedTask, of: 'train' | 'validation' = 'train'): Promise<Packed> {
    const { max_length, packing, completion_only_loss } = task.training;
    const key = canonicalJson([of, max_length, packing, completion_only_loss]);
    const byKey = this.packed.get(data) ?? new Map<string, Promise<Packed>>();
    this.packed.set(data, byKey);
    const there = byKey.get(key);
    if (there) return there;
    const made = trainingBlocks({ ...data, train: data[of] }, task, this.tokenizer);
    byKey.set(key, made);
    return made;
  }
}
