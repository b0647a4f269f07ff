/** The border between tokenizer and model: kernels look ids up without asking, so ids are checked before they get there. */

import { UserError } from '../util/errors.js';
import type { LoraPairs } from '../autograd/graph.js';
import type { CausalLM } from './model.js';

/** Throws UserError for an id that is no row of the embedding of the model or of the call's adapter; `ignored` ids, such as the label -100, may stand among them. */
export function checkTokens(
  { embedding }: CausalLM,
  ids: ArrayLike<number>,
  pairs: LoraPairs | undefined,
  ignored?: number,
): void {
  const { rows: vocab_size } = pairs?.tables?.get(embedding) ?? embedding.table;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id !== ignored && !(id >= 0 && id < vocab_size)) {
      throw new UserError(
        `the tokenizer gives token ${id}, but the model's vocabulary has ${vocab_size}: tokenizer.json and config.json do not belong together`,
      );
    }
  }
}
