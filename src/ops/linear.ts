/**
 * y = x·Wᵀ [+ bias] [+ (alpha/r)·dropout(x)·Aᵀ·Bᵀ] [+ residual]: a Linear as fine-tuning sees it, over a dense or NF4 weight, with
 * LoRA (arXiv:2106.09685) fused in, because its thin products ride along with the large one at almost no cost. The large product is one
 * over the rows of all of a pass's members, whose adapters see their own rows alone.
 */

import { randomOf, type Graph, type Member } from '../autograd/graph.js';
import type { Parameter } from '../autograd/parameter.js';
import type { Matrix, Span } from '../backends/span.js';
import type { Dropout, GemmArgs, RowGroup } from '../backends/kernels.js';
import { slice, Tensor } from '../tensor/tensor.js';

export interface Lora {
  /** f32 [r, in] */
  readonly a: Parameter;
  /** f32 [out, r] */
  readonly b: Parameter;
  readonly r: number;
  /** alpha / r, or alpha / sqrt(r) with rsLoRA (arXiv:2312.03732). */
  readonly scaling: number;
  readonly dropout: number;
  /** The stream of this module's dropout masks. */
  readonly stream: number;
}

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

/** A pair over some of x's rows. */
interface Rider {
  readonly lora: Lora;
  readonly member: Member;
  readonly first: number;
  readonly rows: number;
}

/** A rider after the forward pass. */
export interface Ridden extends Rider {
  /** Its inner activation dropout(x)·Aᵀ, [rows, r], which the backward wants again. */
  readonly u: Tensor;
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
export function linear(g: Graph, x: Tensor, w: LinearWeights, options: LinearOptions = {}): Tensor {
  const { y, ridden } = linearForward(g, x, w, options);
  const { residual } = options;
  const adapters = ridden.map(({ lora }) => lora.a.value);
  if (g.records(x, residual, w.parameter?.value, w.bias?.value, ...adapters)) {
    const read = ridden.length > 0 || w.parameter?.grad !== undefined;
    g.record(y, [read ? x : undefined, ...ridden.map(({ u }) => u)], (dy) => {
      linearBackward(g, dy, x, ridden, w, options);
      if (residual?.needsGrad) g.giveGrad(residual, dy);
    });
  }
  return y;
}

/** The Linears of `ws` over the same x. Few rows, of which nothing is learnt, go through all of them at once. */
export function linears(
  g: Graph,
  x: Tensor,
  ws: readonly LinearWeights[],
  options: Pick<LinearOptions, 'path' | 'encoder'>,
): Tensor[] {
  if (options.path !== 'rows') return ws.map((w) => linear(g, x, w, options));
  const results = ws.map((w) => g.empty([x.length / w.inFeatures, weightOf(g, w).rows]));
  const products = ws.map((w, i) => product(g, x, w, results[i]!, ridersFor(g, x, w, options), options));
  g.kernels.gemms({ products });
  return results;
}

/** The product alone, and what the backward wants again of the adapters on it. */
export function linearForward(
  g: Graph,
  x: Tensor,
  w: LinearWeights,
  options: LinearOptions,
): { y: Tensor; ridden: Ridden[] } {
  const y = g.empty([x.length / w.inFeatures, weightOf(g, w, options.piece).rows], options.output);
  const ridden = ridersFor(g, x, w, options);
  if (!(options.last && g.recomputing)) g.kernels.gemm(product(g, x, w, y, ridden, options));
  return { y, ridden };
}

/** The adapters on `w` with their inner activations u = dropout(x)·Aᵀ. */
function ridersFor(
  g: Graph,
  x: Tensor,
  w: LinearWeights,
  { piece, path = 'tiles', encoder }: LinearOptions,
): Ridden[] {
  return ridersOf(g, w, x.length / w.inFeatures, piece, encoder).map((rider) => ({
    ...rider,
    u: inner(g, x, rider, piece?.firstRow ?? 0, path),
  }));
}

/** The kernel's arguments. */
function product(
  g: Graph,
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
    groups: groupsOf(g, place),
    extra: ridden.map(({ lora, first, rows, u }) => ({
      ...{ first, rows, k: lora.r, a: u, b: lora.b.value, alpha: lora.scaling },
    })),
    ...(w.bias && { bias: w.bias.value }),
    ...(residual && { residual }),
  };
}

/** Adds to the gradients of x and of everything in `w` that is trained. */
export function linearBackward(
  g: Graph,
  dy: Tensor,
  x: Tensor,
  ridden: readonly Ridden[],
  w: LinearWeights,
  place: Place,
): void {
  const { piece } = place;
  const weight = weightOf(g, w, piece);
  const { rows: outFeatures, cols: inFeatures } = weight;
  const rows = dy.length / outFeatures;
  if (w.bias?.grad) g.kernels.sumRows({ x: dy, y: w.bias.grad, rows, cols: outFeatures, accumulate: true });
  if (w.parameter?.grad) {
    const b: Matrix = { kind: 'dense', rows, cols: inFeatures, data: x };
    const product = { m: outFeatures, n: inFeatures, k: rows, a: dy, transA: true, b } as const;
    g.kernels.gemm({ ...product, c: w.parameter.grad, accumulate: true, precision: g.precision });
  }
  const { precision } = g;
  const downs = ridden.map(({ lora, member, first, rows, u }) => {
    const { r, a, b, scaling: alpha } = lora;
    const mine = (t: Tensor, cols: number): Span => slice(t, first * cols, rows * cols);
    const du = g.empty([rows, r]);
    const up = { rows, cols: outFeatures, r, precision, alpha, dy: mine(dy, outFeatures) };
    g.kernels.loraUpBackward({ ...up, u, b: b.value, du, ...(b.grad && { dB: b.grad }) });
    const dropout = dropoutOf(g, member, lora, piece?.firstRow ?? 0);
    const down = { rows, cols: inFeatures, r, precision, x: mine(x, inFeatures), du, a: a.value };
    return (dx?: Tensor, accumulate = false) => {
      const into = { ...(a.grad && { dA: a.grad }), ...(dx && { dx: mine(dx, inFeatures) }), accumulate };
      g.kernels.loraDownBackward({ ...down, ...into, ...(dropout && { dropout }) });
    };
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
      a: dy,
      b: weight,
      c: dx,
      accumulate: accumulate || ridden.length > 0,
      groups: groupsOf(g, place),
      precision,
    });
  });
}

/**
 * [out, in]: the Linear's own, or the table that the call's adapter brings in its place. Members with different ones have their products
 * each on its own, in pieces: so have output heads in training.
 */
export function weightOf(g: Graph, w: LinearWeights, piece?: Pick<Piece, 'member'>): Matrix {
  return (piece?.member ?? g.members[0])?.pairs?.tables?.get(w) ?? w.weight;
}

/** The members' rows among those of a product; absent where they are of one. */
function groupsOf(g: Graph, { piece, encoder }: Place): readonly RowGroup[] | undefined {
  if (piece) return undefined;
  return g.groups?.map((group) => (encoder ? group.encoderRows : group.rows));
}

/** The members' pairs on this Linear. */
function ridersOf(
  g: Graph,
  w: LinearWeights,
  rows: number,
  piece: Piece | undefined,
  encoder = false,
): Rider[] {
  const riders: Rider[] = [];
  let first = 0;
  for (const member of piece ? [piece.member] : g.members) {
    const own = piece ? rows : ((encoder ? member.encoderRows : member.rows) ?? rows);
    const lora = member.pairs?.get(w);
    if (lora) riders.push({ lora, member, first, rows: own });
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

/** The mask on LoRA's input, whose first row has the number `firstRow`. */
function dropoutOf(g: Graph, member: Member, lora: Lora, firstRow: number): Dropout | undefined {
  if (lora.dropout === 0 || !g.training) return undefined;
  const firstElement = firstRow * lora.a.value.shape[1]!;
  return { p: lora.dropout, random: randomOf(member, lora.stream), firstElement };
}

/** u = dropout(x)·Aᵀ over the rider's rows, [rows, r]. */
function inner(g: Graph, x: Tensor, rider: Rider, firstRow: number, path: 'tiles' | 'rows'): Tensor {
  const { lora, member, first, rows } = rider;
  const { r } = lora;
  const a = lora.a.value;
  const cols = a.shape[1]!;
  const u = g.empty([rows, r]);
  const mine = slice(x, first * cols, rows * cols);
  const dropout = dropoutOf(g, member, lora, firstRow);
  const { precision } = g;
  if (path === 'rows') {
    const b: Matrix = { kind: 'dense', rows: r, cols, data: a };
    g.kernels.gemm({ m: rows, n: r, k: cols, a: mine, b, transB: true, c: u, path, precision });
  } else g.kernels.loraDown({ x: mine, a, u, rows, cols, r, precision, ...(dropout && { dropout }) });
  return u;
}
