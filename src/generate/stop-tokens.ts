/** The tokens that end an answer: generation_config.json's, config.json's, and the tokenizer's end of text. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readModelJson } from '../models/config.js';

/** The ids that end an answer of the model in `folder`: `eos_token_id` of generation_config.json and config.json, and the tokenizer’s. */
export function stopTokens(folder: string, eosId: number | undefined): number[] {
  const stops = new Set<number>(eosId === undefined ? [] : [eosId]);
  for (const file of ['generation_config.json', 'config.json']) {
    const path = join(folder, file);
    if (!existsSync(path)) continue;
    const value = readModelJson(path)['eos_token_id'];
    for (const id of Array.isArray(value) ? (value as unknown[]) : [value])
      if (typeof id === 'number') stops.add(id);
  }
  return [...stops];
}
