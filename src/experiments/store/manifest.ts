/** What a run is, as its folder says. */

import type { Fingerprints, ResolvedConfig } from '../config/index.js';
import type { Program } from '../../util/program.js';

/** What a run is made of. */
export interface Manifest extends Partial<Program> {
  readonly id: string;
  readonly westwind: string;
  readonly started: string;
  readonly config: ResolvedConfig;
  readonly fingerprints: Pick<Fingerprints, 'model' | 'data' | 'adapters' | 'backend'>;
  readonly machine?: Readonly<Record<string, unknown>>;
  /** How the base model's weights are held (base-weights.ts); runs of before it was told have none. */
  readonly weights?: string;
}
