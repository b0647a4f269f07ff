/** Answers and likelihoods of a model that is loaded. */
export { generate, type GenerateOptions } from '../generate/generate.js';
export { commonPrefix, type Prompt } from '../generate/prompts.js';
export type { SamplingOptions } from '../generate/sampler.js';
export { scoreContinuations, type Scores } from '../generate/score.js';
export { Session, type Answer, type Request, type SessionOptions } from '../generate/session.js';
export { stopTokens } from '../generate/stop-tokens.js';
