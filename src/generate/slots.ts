/**
 * The slots of a key-value cache: which are free, and what each holds of what was said in it. A prompt that begins as one that stands in a
 * slot needs to run only what is new, there or in a slot that the beginning is copied to.
 */

import type { AdapterPairs } from '../ops/pass.js';
import { commonPrefix } from './prompts.js';

/** Fewer tokens cost less to run along with a pass than to copy. */
export const LEAST_COPIED = 32;

/** The tokens that stand in a slot, as an adapter made them. */
interface Held {
  readonly pairs: AdapterPairs;
  readonly ids: readonly number[];
}

/** A slot for a prompt, of which `shared` tokens stand there; `from`: once they are copied from that slot. */
export interface Place {
  readonly slot: number;
  readonly shared: number;
  readonly from?: number;
}

export class Slots {
  /** The one that was given back last comes last. */
  private readonly free: number[];
  private readonly held = new Map<number, Held>();

  constructor(count: number) {
    this.free = Array.from({ length: count }, (_, i) => count - 1 - i);
  }

  get areTaken(): boolean {
    return this.free.length === 0;
  }

  /** A free slot, whatever it holds. */
  take(): Place {
    return { slot: this.free.pop()!, shared: 0 };
  }

  /** How many tokens of a prompt stand somewhere. Of each one token at least is run, for what follows it. */
  sharedBy(pairs: AdapterPairs, ids: readonly number[]): number {
    return Math.max(0, this.best([...this.held.keys()], pairs, ids).shared);
  }

  /** The free slot for which least of the prompt has to be run. */
  takeFor(pairs: AdapterPairs, ids: readonly number[]): Place {
    const own = this.best(this.free, pairs, ids);
    const other = this.best([...this.held.keys()], pairs, ids);
    if (other.shared >= own.shared + LEAST_COPIED) {
      // In the place of what nobody has asked for the longest.
      const slot = this.free.shift()!;
      this.held.delete(slot);
      return { slot, shared: other.shared, from: other.slot };
    }
    this.free.splice(this.free.indexOf(own.slot), 1);
    // What is behind that is written over.
    this.hold(own.slot, pairs, ids.slice(0, own.shared));
    return own;
  }

  private best(slots: readonly number[], pairs: AdapterPairs, ids: readonly number[]): Place {
    let found: Place = { slot: -1, shared: -1 };
    for (const slot of slots) {
      const held = this.held.get(slot);
      const shared = held?.pairs === pairs ? Math.min(commonPrefix([held.ids, ids]), ids.length - 1) : 0;
      // Of those that hold nothing of it, the one that nobody has asked for the longest.
      if (shared > found.shared) found = { slot, shared };
    }
    return found;
  }

  /** Says what stands in a slot. */
  hold(slot: number, pairs: AdapterPairs, ids: readonly number[]): void {
    this.held.set(slot, { pairs, ids });
  }

  giveBack(slot: number): void {
    this.free.push(slot);
  }

  /** Drops what an adapter made. */
  forget(pairs: AdapterPairs): void {
    for (const [slot, held] of this.held) if (held.pairs === pairs) this.held.delete(slot);
  }
}
