/** Data that several runs of one process read alike: read, sampled, tokenized and packed once. */

import type { Block } from '../../data/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import { canonicalJson, type ResolvedTask } from '../config/index.js';
import { SPLIT_NAMES } from '../config/splits.js';
import { refuseHeldOut } from './held-out.js';
import { refuseOverlap } from './overlap.js';
import { readTaskData, type TaskData } from './task-data.js';
import { trainingBlocks } from './training-blocks.js';

interface Packed {
  readonly blocks: readonly Block[];
  readonly notices: readonly string[];
}

export class DataCache {
  private readonly read = new Map<string, Promise<TaskData>>();
  private readonly packed = new WeakMap<TaskData, Map<string, Promise<Packed>>>();

  /** `signal` ends what is being read and encoded. `onEncoded`: of a task's texts, where they are so many that it takes long. */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly signal?: AbortSignal,
    private readonly onEncoded?: (task: string, done: number, total: number) => void,
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
    const own = { ...data, train: data[of], files: { ...data.files, train: data.files[of] } };
    const made = trainingBlocks(own, task, this.tokenizer, {
      signal: this.signal,
      onEncoded: (done, total) => this.onEncoded?.(task.name, done, total),
    });
    byKey.set(key, made);
    return made;
  }
}
