/** Two readers' tokens and probabilities of one row, compared. */

/** Probabilities below the least normal float32 count as that: what a reader hands over may have rounded them to nothing. */
const LEAST = Math.log(2 ** -126);

/** Sums over the places of a row, natural logarithms. */
export interface Differences {
  readonly places: number;
  readonly loss_run: number;
  readonly loss_exported: number;
  readonly kl_divergence: number;
  readonly largest_difference: number;
}

export const NO_PLACES: Differences = {
  ...{ places: 0, loss_run: 0, loss_exported: 0, kl_divergence: 0, largest_difference: 0 },
};

/**
 * One place more.
 * @param run logarithms of the probabilities of each token, [vocabulary]
 * @param exported the same by the other reader; throws RangeError for another size
 * @param target the token that stands there
 */
export function withPlace(
  before: Differences,
  run: Float32Array,
  exported: Float32Array,
  target: number,
): Differences {
  if (run.length !== exported.length)
    throw new RangeError(`probabilities of ${run.length} and ${exported.length} tokens to compare`);
  let [divergence, largest] = [0, before.largest_difference];
  for (let token = 0; token < run.length; token++) {
    const p = Math.max(run[token]!, LEAST);
    const difference = p - Math.max(exported[token]!, LEAST);
    divergence += Math.exp(p) * difference;
    largest = Math.max(largest, Math.abs(difference));
  }
  return {
    places: before.places + 1,
    loss_run: before.loss_run - Math.max(run[target]!, LEAST),
    loss_exported: before.loss_exported - Math.max(exported[target]!, LEAST),
    // Of equal ones rounding may leave less than nothing.
    kl_divergence: before.kl_divergence + Math.max(0, divergence),
    largest_difference: largest,
  };
}

/** Sums of rows' differences. */
export function sumOf(rows: readonly Differences[]): Differences {
  return rows.reduce(
    (sum, row) => ({
      places: sum.places + row.places,
      loss_run: sum.loss_run + row.loss_run,
      loss_exported: sum.loss_exported + row.loss_exported,
      kl_divergence: sum.kl_divergence + row.kl_divergence,
      largest_difference: Math.max(sum.largest_difference, row.largest_difference),
    }),
    NO_PLACES,
  );
}

/** Logits into logarithms of probabilities, in their place; sums in double precision. */
export function toLogProbabilities(logits: Float32Array): Float32Array {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  const all = most + Math.log(sum);
  for (let i = 0; i < logits.length; i++) logits[i] = logits[i]! - all;
  return logits;
}
