/** Which blocks a step takes: the order of an epoch follows from the settings and its number alone. */

import { epochOrder, lengthGroupedOrder, type Block } from '../data/index.js';
import type { TrainingArguments } from './arguments.js';
import { rowsOf } from './batch.js';

type OrderArguments = Pick<
  TrainingArguments,
  'seed' | 'group_by_length' | 'per_device_train_batch_size' | 'gradient_accumulation_steps'
>;

export class StepOrder {
  /** The epoch's that was asked for last. */
  private order: { readonly epoch: number; readonly indices: readonly number[] } | undefined;

  constructor(
    private readonly blocks: readonly Block[],
    private readonly args: OrderArguments,
  ) {}

  /** The blocks of an epoch's step, both from 0: a list for each pass. */
  batchesOf(epoch: number, step: number): Block[][] {
    const { per_device_train_batch_size: size, gradient_accumulation_steps } = this.args;
    const perStep = size * gradient_accumulation_steps;
    if (this.order?.epoch !== epoch) this.order = { epoch, indices: this.indicesOf(epoch, perStep) };
    const mine = this.order.indices.slice(step * perStep, (step + 1) * perStep);
    const batches: Block[][] = [];
    for (let i = 0; i < mine.length; i += size)
      batches.push(mine.slice(i, i + size).map((index) => this.blocks[index]!));
    return batches;
  }

  private indicesOf(epoch: number, perStep: number): number[] {
    const { blocks, args } = this;
    return args.group_by_length
      ? lengthGroupedOrder(blocks.map(rowsOf), perStep, args.seed, epoch)
      : epochOrder(blocks.length, args.seed, epoch);
  }
}
