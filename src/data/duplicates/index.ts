/** Texts that are equal, nearly equal, or have a run of words in common. */
export { equalTexts, repeatsOf, type Texts } from './equal.js';
export { repeatsAndNear } from './near.js';
export { sharedGrams } from './shared.js';
