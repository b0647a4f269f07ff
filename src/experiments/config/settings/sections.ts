/** The sections that hold settings of one kind: where a key that stands in the wrong place belongs. */

import { GENERATION } from './answers.js';
import { LORA, QUANTIZATION, TRAINING } from './tuning.js';

export const SETTING_SECTIONS: Readonly<Record<string, readonly string[]>> = {
  quantization: Object.keys(QUANTIZATION),
  lora: Object.keys(LORA),
  training: Object.keys(TRAINING),
  generation: Object.keys(GENERATION),
};
