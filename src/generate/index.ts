/** Answers and likelihoods of a model that is loaded. */
export { generate, type Answer, type GenerateOptions } from './generate.js';
export { commonPrefix, type Prompt } from './prompts.js';
export type { SamplingOptions } from './sampler.js';
export { scoreContinuations, type Scores } from './score.js';
export { stopTokens } from './stop-tokens.js';
