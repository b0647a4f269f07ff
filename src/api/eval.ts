/** Figures of answers, and how sure they are: ROUGE, classifications, intervals, paired tests; the scores of a whole task; checks. */
export * from '../eval/index.js';
export type { CheckFunction, CheckRow } from '../experiments/checks/load.js';
