/** Where queries, keys and values stand in the output of a fused query_key_value, and the tables by which they are taken out of it. */

import type { Backend } from '../../backends/contract.js';
import type { BlockPart } from '../../ops/blocks.js';
import { Tensor } from '../../tensor/tensor.js';

/** Heads lie in equal groups, each some queries, then as many times one key and one value as there are groups. */
export interface HeadGroups {
  readonly groups: number;
  readonly queriesPerGroup: number;
}

/** Rows of the first tables: more than are ever decoded at a time, unless a cache has more slots. */
const FEWEST = 256;

export class FusedHeads {
  readonly heads: number;
  readonly kvHeads: number;
  /** Larger ones are added, and none is dropped before the model: a recording may hold its address. */
  private readonly tables: { readonly rows: number; readonly parts: readonly BlockPart[] }[] = [];

  constructor(
    private readonly backend: Backend,
    private readonly layout: HeadGroups,
  ) {
    this.heads = layout.groups * layout.queriesPerGroup;
    this.kvHeads = layout.groups;
    this.upTo(FEWEST);
  }

  /** Heads of queries, keys and values together. */
  get blocks(): number {
    return this.heads + 2 * this.kvHeads;
  }

  /** Queries, keys and values of at least so many rows. */
  upTo(rows: number): readonly BlockPart[] {
    const there = this.tables.find((table) => table.rows >= rows);
    if (there) return there.parts;
    const size = Math.max(FEWEST, 2 ** Math.ceil(Math.log2(rows)));
    const { groups, queriesPerGroup } = this.layout;
    const group = queriesPerGroup + 2;
    const part = (first: number, count: number): BlockPart => {
      const blocks = groups * count;
      const index = Int32Array.from({ length: size * blocks }, (_, i) => {
        const [row, block] = [Math.floor(i / blocks), i % blocks];
        return (row * groups + Math.floor(block / count)) * group + first + (block % count);
      });
      return { blocks, index: Tensor.from(this.backend, index) };
    };
    const parts = [part(0, queriesPerGroup), part(group - 2, 1), part(group - 1, 1)];
    this.tables.push({ rows: size, parts });
    return parts;
  }

  dispose(): void {
    for (const { parts } of this.tables) for (const { index } of parts) index.release();
    this.tables.length = 0;
  }
}
