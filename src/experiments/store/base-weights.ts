/** How a run holds its base model's weights: as its settings say, or in the four bits that the checkpoint stores already. */

import { join } from 'node:path';
import { readModelJson } from '../../models/config.js';
import type { ResolvedConfig } from '../config/index.js';

/**
 * 'NF4' with its scales quantized, too, or 'NF4, single'; else the type that the settings ask for.
 * @param stored config.json's `quantization_config`: what is stored in four bits is held so, whatever the settings say
 */
export function weightsHeld({ quantization, dtype }: ResolvedConfig['weights'], stored?: unknown): string {
  const double = stored == null ? quantization?.doubleQuant : storedDouble(stored);
  if (double === undefined) return dtype;
  return double ? 'NF4' : 'NF4, single';
}

/** The same of the model in a folder. Throws UserError where that has no config.json. */
export function weightsHeldOf(weights: ResolvedConfig['weights'], modelFolder: string): string {
  return weightsHeld(weights, readModelJson(join(modelFolder, 'config.json'))['quantization_config']);
}

export function isFourBit(held: string): boolean {
  return held.startsWith('NF4');
}

/** What the tables call the tuned model. */
export function tuningName({ tasks }: Pick<ResolvedConfig, 'tasks'>, held: string): string {
  if (tasks.every((t) => t.lora === false)) return 'fine-tuned';
  return isFourBit(held) ? 'QLoRA' : 'LoRA';
}

/** As transformers' BitsAndBytesConfig has it: false where it is left out. */
function storedDouble(stored: unknown): boolean {
  return (stored as { bnb_4bit_use_double_quant?: unknown }).bnb_4bit_use_double_quant === true;
}
