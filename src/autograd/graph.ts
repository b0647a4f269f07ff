/**
 * The tape. Operations run at once and, where a gradient will be wanted, leave a node behind with what its backward needs; `backward`
 * walks the nodes from the last to the first. Scopes free what an operation made as soon as nobody holds it: the tape holds only what
 * it saved, and `checkpoint` (Chen et al., arXiv:1604.06174) trades that for running a piece of the forward a second time.
 */

import type { Backend } from '../backends/contract.js';
import type { DType } from '../backends/span.js';
import { Tensor } from '../tensor/tensor.js';

interface Node {
  readonly output: Tensor;
  /** Tensors held until this node's backward is done. */
  readonly saved: readonly Tensor[];
  /** May take `dOutput` over by `Graph.giveGrad`; else it is freed afterwards. */
  backward(dOutput: Tensor): void;
}

export interface GraphOptions {
  /** Record for a backward pass, and let dropout and NEFTune act. */
  readonly training?: boolean;
  /** bf16: products' factors are rounded to it where the backend gains by that, activations where it keeps them so. */
  readonly precision?: 'f32' | 'bf16';
}

export class Graph {
  readonly training: boolean;
  readonly precision: 'f32' | 'bf16';
  /** The type of activations and their gradients. */
  readonly activations: 'f32' | 'bf16';
  private nodes: Node[] = [];
  private grads = new Map<Tensor, Tensor>();
  private scopes: Set<Tensor>[] = [new Set()];
  private recording: boolean;
  private again = false;
  /** Operations so far that had a trained input. */
  private trainedOperations = 0;

  constructor(
    readonly backend: Backend,
    options: GraphOptions = {},
  ) {
    this.training = options.training ?? false;
    this.recording = this.training;
    this.precision = options.precision ?? 'f32';
    this.activations = this.precision === 'bf16' ? backend.activations : 'f32';
  }

  get kernels(): Backend['kernels'] {
    return this.backend.kernels;
  }

  /** Whether a checkpointed piece runs for the second time: of its output only the place is wanted. */
  get recomputing(): boolean {
    return this.again;
  }

  /**
   * Uninitialized memory, for activations where no type is given, that lives until the innermost scope ends, or longer if the tape or the
   * scope's caller holds it.
   */
  empty(shape: readonly number[], dtype: DType = this.activations): Tensor {
    return this.own(Tensor.empty(this.backend, shape, dtype));
  }

  /** Hands a tensor to the innermost scope, which will release it. */
  own(t: Tensor): Tensor {
    this.scopes[this.scopes.length - 1]!.add(t);
    return t;
  }

  /** Host numbers for the length of the innermost scope. */
  from(data: Float32Array | Int32Array, shape?: readonly number[]): Tensor {
    return this.own(Tensor.from(this.backend, data, shape));
  }

  /** Runs `body`; what it made is let go, but for what it returns, which the surrounding scope takes over. */
  scope<R extends Tensor | undefined>(body: () => R): R {
    const inner = new Set<Tensor>();
    this.scopes.push(inner);
    try {
      const result = body();
      if (result !== undefined && inner.delete(result)) this.scopes[this.scopes.length - 2]!.add(result);
      return result;
    } finally {
      this.scopes.pop();
      for (const t of inner) t.release();
    }
  }

  /** Frees everything this graph still holds. */
  close(): void {
    for (const scope of this.scopes) for (const t of scope) t.release();
    this.scopes = [new Set()];
    this.dropTape();
  }

  private dropTape(): void {
    for (const node of this.nodes) for (const t of node.saved) t.release();
    this.nodes = [];
    for (const t of this.grads.values()) t.release();
    this.grads.clear();
  }

  /** Whether an operation over these inputs has to leave a node. */
  records(...inputs: (Tensor | undefined)[]): boolean {
    const trained = inputs.some((t) => t?.needsGrad === true);
    if (trained) this.trainedOperations++;
    return this.recording && trained;
  }

  /** Leaves a node: `backward` will be called with the output's gradient, once, if there is one. */
  record(output: Tensor, saved: readonly (Tensor | undefined)[], backward: (dOutput: Tensor) => void): void {
    output.needsGrad = true;
    const held = saved.filter((t) => t !== undefined);
    for (const t of held) t.retain();
    this.nodes.push({ output, saved: held, backward });
  }

  /**
   * Where the gradient of `t` goes: `write` gets a tensor of its size and whether to add to it. For kernels that cannot add, see
   * `writeGrad`.
   */
  addGrad(t: Tensor, write: (target: Tensor, accumulate: boolean) => void): void {
    const there = this.grads.get(t);
    if (there) {
      write(there, true);
      return;
    }
    const fresh = Tensor.empty(this.backend, t.shape, t.dtype);
    this.grads.set(t, fresh);
    write(fresh, false);
  }

  /** As `addGrad` for a kernel that only overwrites. */
  writeGrad(t: Tensor, write: (target: Tensor) => void): void {
    const there = this.grads.get(t);
    if (!there) {
      const fresh = Tensor.empty(this.backend, t.shape, t.dtype);
      this.grads.set(t, fresh);
      write(fresh);
      return;
    }
    const extra = Tensor.empty(this.backend, t.shape, t.dtype);
    write(extra);
    this.kernels.add({ a: there, b: extra, y: there, n: extra.length });
    extra.release();
  }

  /** The gradient of `t` is `dy` itself (a residual path): taken over without a copy where it is the first. */
  giveGrad(t: Tensor, dy: Tensor): void {
    const there = this.grads.get(t);
    if (there) this.kernels.add({ a: there, b: dy, y: there, n: dy.length });
    else this.grads.set(t, dy.retain());
  }

  /** Walks the tape back from `output`, whose gradient is `dOutput` (taken over). Afterwards the tape is empty. */
  backward(output: Tensor, dOutput: Tensor): void {
    const steps = this.walkBack(output, dOutput);
    while (!steps.next().done) continue;
  }

  /** `backward`, a node at a time. */
  *walkBack(output: Tensor, dOutput: Tensor): Generator<void, void, void> {
    this.grads.set(output, dOutput);
    for (let node = this.nodes.pop(); node; node = this.nodes.pop()) {
      const dy = this.grads.get(node.output);
      if (dy) {
        this.grads.delete(node.output);
        const done = node;
        this.scope(() => {
          done.backward(dy);
          return undefined;
        });
        dy.release();
      }
      for (const t of node.saved) t.release();
      yield;
    }
  }

  /** What `backward` left for an input of the tape; the caller takes it over. */
  takeGrad(t: Tensor): Tensor | undefined {
    const grad = this.grads.get(t);
    this.grads.delete(t);
    return grad;
  }

  /**
   * `body(x)` whose intermediates are not kept: they are computed again when its backward comes. `body` must compute the same both
   * times: masks come from counters, so it does. `shared`: what else it reads that has a gradient of its own.
   */
  checkpoint(x: Tensor, body: (x: Tensor) => Tensor, shared: readonly Tensor[] = []): Tensor {
    if (!this.recording) return this.scope(() => body(x));
    this.recording = false;
    const before = this.trainedOperations;
    let output: Tensor;
    try {
      output = this.scope(() => body(x));
    } finally {
      this.recording = true;
    }
    // Below the lowest trained layer there is nothing to compute again.
    if (!x.needsGrad && this.trainedOperations === before) return output;
    this.record(output, [x, ...shared], (dOutput) => {
      const outer = { nodes: this.nodes, grads: this.grads, again: this.again };
      this.nodes = [];
      this.grads = new Map();
      let dInput: Tensor | undefined;
      let dShared: readonly (Tensor | undefined)[] = [];
      try {
        const input = this.own(x.view());
        this.again = true;
        const output = this.scope(() => body(input));
        this.again = outer.again;
        this.backward(output, dOutput.retain());
        dInput = this.takeGrad(input);
        dShared = shared.map((t) => this.takeGrad(t));
      } finally {
        this.dropTape();
        this.nodes = outer.nodes;
        this.grads = outer.grads;
        this.again = outer.again;
      }
      if (dInput && x.needsGrad) this.giveGrad(x, dInput);
      dInput?.release();
      for (const [i, t] of shared.entries()) {
        const gradient = dShared[i];
        if (gradient) this.giveGrad(t, gradient);
        gradient?.release();
      }
    });
    return output;
  }
}
