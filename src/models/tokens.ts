/** The border between tokenizer and model: kernels look ids up without asking, so ids are checked before they get there. */

import { checkInt32, checkNumber } from '../util/checks.js';
import { UserError } from '../util/errors.js';
import type { AdapterPairs } from '../ops/pass.js';
import type { CausalLM } from './model.js';

/** Throws UserError for an id that is no row of the embedding of the model or of the call's adapter; `ignored` ids, such as the label -100, may stand among them. */
export function checkTokens(
  { embedding }: CausalLM,
  ids: ArrayLike<number>,
  pairs: AdapterPairs | undefined,
  ignored?: number,
): void {
  const { rows: vocab_size } = pairs?.tables?.get(embedding) ?? embedding.table;
  checkInt32('ids', ids);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id !== ignored && !(id >= 0 && id < vocab_size)) {
      throw new UserError(
        `the tokenizer gives token ${id}, but the model's vocabulary has ${vocab_size}: tokenizer.json and config.json do not belong together`,
      );
    }
  }
}

/** Places in a text: rotary tables grow with the largest, so that one far out would never be reached. */
export const MOST_POSITIONS = 1 << 20;

/** Throws RangeError for positions that no table of angles has. */
export function checkPositions(positions: ArrayLike<number>): void {
  for (let i = 0; i < positions.length; i++)
    if (!(positions[i]! >= 0 && positions[i]! < MOST_POSITIONS))
      checkNumber(`positions[${i}]`, positions[i], `a place from 0 to ${MOST_POSITIONS - 1}`, () => false);
}
