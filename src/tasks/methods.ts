/** The ways of asking a model: as it came, without and with examples, and tuned. The one list of them. */

export const METHODS = {
  zero_shot: { words: 'zero-shot' },
  few_shot: { words: 'few-shot' },
  tuned: { words: 'tuned' },
} as const;

/** How a model is asked: after tuning, by an instruction alone, or by an instruction and examples. */
export type Method = keyof typeof METHODS;
/** A way of asking a model that was not tuned. */
export type Baseline = Exclude<Method, 'tuned'>;

/** In the order of tables. */
export const METHOD_NAMES = Object.keys(METHODS) as [Method, ...Method[]];
/** What is asked of a model before tuning. */
export const BASELINES = METHOD_NAMES.filter((method) => method !== 'tuned') as [Baseline, ...Baseline[]];

/** A method's name as people write it. `tuning`: what tuning is called there. */
export function methodName(method: Method, tuning: string = METHODS.tuned.words): string {
  return method === 'tuned' ? tuning : METHODS[method].words;
}
