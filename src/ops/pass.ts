/**
 * A pass over a model: the tape, and whose rows go over it. Several adapters that are trained over one model share its passes, and each gets
 * what it gets alone: the base's products are over all rows, an adapter's over those of its member.
 */

import { Graph, type GraphOptions } from '../autograd/graph.js';
import type { Backend } from '../backends/contract.js';
import type { DenseMatrix, RowGroup, Span } from '../backends/span.js';
import { slice, type Tensor } from '../tensor/tensor.js';
import type { LinearAdapter } from './adapter.js';

/** Whole tables by the modules (the embedding, the output head) whose places they take. */
export type TableMap = ReadonlyMap<object, DenseMatrix & { readonly data: Tensor }>;

/** What a pass needs of an adapter: what it puts on which Linears, and what tables it brings. */
export type AdapterPairs = ReadonlyMap<object, LinearAdapter> & { readonly tables?: TableMap | undefined };

/** Rows of a pass, behind those of the member before, that one training brings. */
export interface Member {
  /** Absent: all rows, of the only member. */
  readonly rows?: number;
  /** Of its rows in a model's encoder, which stand behind each other likewise. */
  readonly encoderRows?: number;
  /** The training's seed and the number of its forward pass: together with a layer's stream they fix every random mask. */
  readonly seed: number;
  readonly step: number;
  readonly pairs?: AdapterPairs | undefined;
}

/** Members next to each other with as many rows each, where a pass has several members. */
interface MemberGroup {
  readonly rows: RowGroup;
  readonly encoderRows: RowGroup;
}

export class Pass extends Graph {
  readonly members: readonly Member[];
  /** Absent: one member. */
  readonly groups: readonly MemberGroup[] | undefined;

  constructor(
    backend: Backend,
    {
      members = [{ seed: 0, step: 0 }],
      ...options
    }: GraphOptions & { readonly members?: readonly Member[] } = {},
  ) {
    super(backend, options);
    this.members = members;
    if (members.length > 1) this.groups = memberGroups(members);
  }
}

function memberGroups(members: readonly Member[]): MemberGroup[] {
  const groups: MemberGroup[] = [];
  let [first, firstEncoder] = [0, 0];
  for (const { rows = 0, encoderRows = 0 } of members) {
    const last = groups.at(-1);
    if (last?.rows.rows === rows && last.encoderRows.rows === encoderRows) {
      const count = last.rows.count + 1;
      groups[groups.length - 1] = {
        rows: { ...last.rows, count },
        encoderRows: { ...last.encoderRows, count },
      };
    } else
      groups.push({
        rows: { first, rows, count: 1 },
        encoderRows: { first: firstEncoder, rows: encoderRows, count: 1 },
      });
    first += rows;
    firstEncoder += encoderRows;
  }
  return groups;
}

/** What rows have of a span with `size` elements a row. */
export function shareOf(
  span: Span,
  { first, rows, count = 1 }: { readonly first: number; readonly rows: number; readonly count?: number },
  size: number,
): Span {
  return slice(span, first * size, count * rows * size);
}
