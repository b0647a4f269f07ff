/** What a card is made of. */

import type { ResolvedTask } from '../config/index.js';
import type { Manifest } from '../store/manifest.js';
import type { TaskResult } from '../store/results.js';

/** What leaves: an adapter of PEFT's, a model's folder, or a GGUF file. */
export type CardKind = 'adapter' | 'model' | 'gguf';

export interface CardFacts {
  /** OWNER/NAME. */
  readonly name: string;
  readonly kind: CardKind;
  readonly base: {
    /** Its name on the hub, where it has one. */
    readonly name?: string | undefined;
    /** The metadata of its own card. */
    readonly card: Readonly<Record<string, unknown>>;
  };
  /** What trained it, where that is known. */
  readonly run?: CardRun | undefined;
  /** Of its weights, by name. */
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
  /** The model has an encoder. */
  readonly hasEncoder: boolean;
}

export interface CardRun {
  readonly manifest: Manifest;
  readonly task: ResolvedTask;
  /** Undefined: its test rows are not all answered. */
  readonly result?: TaskResult | undefined;
}
