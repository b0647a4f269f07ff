/**
 * y = x·Wᵀ [+ bias] [+ what an adapter adds] [+ residual]: a Linear as fine-tuning sees it, over a dense or NF4 weight. The large product is
 * one over the rows of all of a pass's members, whose adapters (src/ops/adapter.ts) see their own rows alone.
 */

import type { Graph } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { GemmArgs } from '../backends/kernels.js';
import type { Matrix, RowGroup } from '../backends/span.js';
import { slice, type Tensor } from '../tensor/tensor.js';
import type { AdapterRows, ColumnFactor, LinearAdapter } from './adapter.js';
import { shareOf, type Member, type Pass } from './pass.js';

/** What the operation reads of a module. */
export interface LinearWeights {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** [out, in] */
  readonly weight: Matrix;
  /** The same weight where it can be trained. */
  readonly parameter?: Parameter | undefined;
  readonly bias?: Parameter | undefined;
}

/** A member's adapter over its rows of x. */
interface Rider extends AdapterRows {
  readonly adapter: LinearAdapter;
  readonly first: number;
}

/** A rider after the forward pass. */
export interface Ridden extends Rider {
  /** Its inner activation. */
  readonly u: Tensor;
  /** Where it scales columns: product and addition of its rows before that. */
  readonly scaled?: { readonly factor: ColumnFactor; readonly z: Tensor } | undefined;
}

export interface LinearOptions {
  /** [rows, out], added to the result. */
  readonly residual?: Tensor;
  /** See `GemmArgs.path`. */
  readonly path?: 'tiles' | 'rows';
  /** The only member whose rows these are, of a product done in pieces, and the number of the first, for the dropout mask. */
  readonly piece?: Piece;
  /** The type of the result where it is not that of activations: logits are f32. */
  readonly output?: 'f32';
  /** x are rows of the model's encoder, of which members have their own. */
  readonly encoder?: boolean;
  /** The result is all that a checkpointed piece returns: when the piece runs again for its backward, nobody reads it. */
  readonly last?: boolean;
}

/** Whose rows they are. */
export type Place = Pick<LinearOptions, 'piece' | 'encoder'>;

export interface Piece {
  readonly member: Member;
  readonly firstRow: number;
}

/** x [rows, in] to [rows, out]. */
export function linear(g: Pass, x: Tensor, w: LinearWeights, options: LinearOptions = {}): Tensor {
  const { y, ridden } = linearForward(g, x, w, options);
  const { residual } = options;
  const trained = ridden.flatMap(({ adapter }) => adapter.parameters.map(({ value }) => value));
  if (g.records(x, residual, w.parameter?.value, w.bias?.value, ...trained)) {
    const read = ridden.length > 0 || w.parameter?.grad !== undefined;
    g.record(y, [read ? x : undefined, ...ridden.flatMap(savedOf)], (dy) => {
      linearBackward(g, dy, x, ridden, w, options);
      if (residual?.needsGrad) g.giveGrad(residual, dy);
    });
  }
  return y;
}

function savedOf({ u, scaled }: Ridden): Tensor[] {
  return scaled ? [u, scaled.z, ...scaled.factor.saved] : [u];
}

/** The Linears of `ws` over the same x. Few rows, of which nothing is learnt, go through all of them at once. */
export function linears(
  g: Pass,
  x: Tensor,
  ws: readonly LinearWeights[],
  options: Pick<LinearOptions, 'path' | 'encoder'>,
): Tensor[] {
  if (options.path !== 'rows') return ws.map((w) => linear(g, x, w, options));
  const results = ws.map((w) => g.empty([x.length / w.inFeatures, weightOf(g, w).rows]));
  const ridden = ws.map((w) => ridersFor(g, x, w, options));
  g.kernels.gemms({ products: ws.map((w, i) => product(g, x, w, results[i]!, ridden[i]!, options)) });
  for (const [i, w] of ws.entries()) scaleColumns(g, x, w, results[i]!, ridden[i]!, options);
  return results;
}

/** The product alone, and what the backward wants again of the adapters on it. */
export function linearForward(
  g: Pass,
  x: Tensor,
  w: LinearWeights,
  options: LinearOptions,
): { y: Tensor; ridden: Ridden[] } {
  const y = g.empty([x.length / w.inFeatures, weightOf(g, w, options.piece).rows], options.output);
  const ridden = ridersFor(g, x, w, options);
  if (!(options.last && g.recomputing)) g.kernels.gemm(product(g, x, w, y, ridden, options));
  return { y, ridden: scaleColumns(g, x, w, y, ridden, options) };
}

/** The adapters on `w` with their inner activations. */
function ridersFor(g: Pass, x: Tensor, w: LinearWeights, options: LinearOptions): Ridden[] {
  return ridersOf(g, w, x.length / w.inFeatures, options).map((rider) => ({
    ...rider,
    u: rider.adapter.inner(g, shareOf(x, rider, w.inFeatures), rider),
  }));
}

/** The kernel's arguments. */
function product(
  g: Pass,
  x: Tensor,
  w: LinearWeights,
  y: Tensor,
  ridden: readonly Ridden[],
  { residual, path = 'tiles', ...place }: LinearOptions,
): GemmArgs {
  const weight = weightOf(g, w, place.piece);
  return {
    m: x.length / w.inFeatures,
    n: weight.rows,
    k: w.inFeatures,
    a: x,
    b: weight,
    transB: true,
    c: y,
    path,
    precision: g.precision,
    groups: rowGroups(g, place),
    extra: ridden.map(({ adapter, first, rows, u }) => ({ first, rows, ...adapter.addition(u) })),
    ...(w.bias && { bias: w.bias.value }),
    ...(residual && { residual }),
  };
}

/** Lets adapters that scale columns do so: their rows' product once more, apart from what is not scaled. Other rows are left as they are. */
function scaleColumns(
  g: Pass,
  x: Tensor,
  w: LinearWeights,
  y: Tensor,
  ridden: readonly Ridden[],
  { piece }: Place,
): Ridden[] {
  return ridden.map((rider) => {
    const { adapter, rows, path, u } = rider;
    const weight = weightOf(g, w, piece);
    const factor = adapter.factor?.(g, weight);
    if (!factor) return rider;
    const z = g.empty([rows, weight.rows], y.dtype);
    const a = shareOf(x, rider, w.inFeatures);
    const shape = { m: rows, n: weight.rows, k: w.inFeatures, path, precision: g.precision };
    const extra = [{ first: 0, rows, ...adapter.addition(u) }];
    g.kernels.gemm({ ...shape, a, b: weight, transB: true, c: z, extra });
    factor.apply(g, z, shareOf(y, rider, weight.rows));
    return { ...rider, scaled: { factor, z } };
  });
}

/** Adds to the gradients of x and of everything in `w` that is trained. */
export function linearBackward(
  g: Pass,
  dy: Tensor,
  x: Tensor,
  ridden: readonly Ridden[],
  w: LinearWeights,
  place: Place,
): void {
  const weight = weightOf(g, w, place.piece);
  const { rows: outFeatures, cols: inFeatures } = weight;
  const rows = dy.length / outFeatures;
  const { precision } = g;
  if (w.bias?.grad) g.kernels.sumRows({ x: dy, y: w.bias.grad, rows, cols: outFeatures, accumulate: true });
  const dz = scaledGrad(g, dy, ridden, outFeatures);
  if (w.parameter?.grad) {
    const b: Matrix = { kind: 'dense', rows, cols: inFeatures, data: x };
    const product = { m: outFeatures, n: inFeatures, k: rows, a: dz, transA: true, b } as const;
    g.kernels.gemm({ ...product, c: w.parameter.grad, accumulate: true, precision });
  }
  const downs = ridden.map((rider) => {
    const of = { dy: shareOf(dz, rider, outFeatures), x: shareOf(x, rider, inFeatures), u: rider.u };
    const down = rider.adapter.backward(g, of, rider);
    return (dx?: Tensor, accumulate = false) => down(dx && shareOf(dx, rider, inFeatures), accumulate);
  });
  if (!x.needsGrad) {
    for (const down of downs) down();
    return;
  }
  g.addGrad(x, (dx, accumulate) => {
    // The adapters first: the large product then adds to what stands there.
    for (const down of downs) down(dx, accumulate);
    // In rows without one that is -0, which changes nothing that is added to it.
    for (const { first, rows: n } of ridden.length > 0 && !accumulate ? rowsBetween(ridden, rows) : [])
      g.kernels.fill({ y: slice(dx, first * inFeatures, n * inFeatures), n: n * inFeatures, value: -0 });
    g.kernels.gemm({
      m: rows,
      n: inFeatures,
      k: outFeatures,
      a: dz,
      b: weight,
      c: dx,
      accumulate: accumulate || ridden.length > 0,
      groups: rowGroups(g, place),
      precision,
    });
  });
}

/** The gradient of product and additions: dy itself, but for rows whose columns are scaled. */
function scaledGrad(g: Graph, dy: Tensor, ridden: readonly Ridden[], cols: number): Tensor {
  if (!ridden.some(({ scaled }) => scaled)) return dy;
  const all = g.empty(dy.shape, dy.dtype);
  g.kernels.copy({ x: dy, y: all, n: dy.length });
  for (const { scaled, ...rider } of ridden)
    scaled?.factor.backward(g, {
      ...{ dy: shareOf(dy, rider, cols), z: scaled.z, dz: shareOf(all, rider, cols) },
    });
  return all;
}

/**
 * [out, in]: the Linear's own, or the table that the call's adapter brings in its place. Members with different ones have their products
 * each on its own, in pieces: so have output heads in training.
 */
export function weightOf(g: Pass, w: LinearWeights, piece?: Pick<Piece, 'member'>): Matrix {
  return (piece?.member ?? g.members[0])?.pairs?.tables?.get(w) ?? w.weight;
}

/** The members' rows among those of a product; absent where they are of one. */
function rowGroups(g: Pass, { piece, encoder }: Place): readonly RowGroup[] | undefined {
  if (piece) return undefined;
  return g.groups?.map((group) => (encoder ? group.encoderRows : group.rows));
}

/** The members' adapters on this Linear. */
function ridersOf(
  g: Pass,
  w: LinearWeights,
  rows: number,
  { piece, path = 'tiles', encoder = false }: LinearOptions,
): Rider[] {
  const riders: Rider[] = [];
  let first = 0;
  for (const member of piece ? [piece.member] : g.members) {
    const own = piece ? rows : ((encoder ? member.encoderRows : member.rows) ?? rows);
    const adapter = member.pairs?.get(w);
    const firstRow = piece?.firstRow ?? 0;
    if (adapter) riders.push({ adapter, first, rows: own, firstRow, draws: member, path });
    first += own;
  }
  return riders;
}

/** Rows that no rider has. */
function rowsBetween(riders: readonly Rider[], rows: number): { first: number; rows: number }[] {
  const ends = [0, ...riders.map(({ first, rows }) => first + rows)];
  const starts = [...riders.map(({ first }) => first), rows];
  return ends
    .map((end, i) => ({ first: end, rows: starts[i]! - end }))
    .filter(({ rows: between }) => between > 0);
}
