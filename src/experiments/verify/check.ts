/** One line of a verification: what was compared, how far it is off, and how far it may be. */

export interface Check {
  readonly subject: string;
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
  readonly ok: boolean;
}

/** Passes where `error` is at most `tolerance`; NaN never passes. */
export function check(subject: string, name: string, error: number, tolerance: number): Check {
  return { subject, name, error, tolerance, ok: error <= tolerance };
}

/** Share of differing entries, for what has to be the same. */
export function mismatch(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  if (a.length !== b.length) return 1;
  let different = 0;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) different++;
  return a.length === 0 ? 0 : different / a.length;
}

export function maxAbs(a: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < a.length; i++) max = Math.max(max, Math.abs(a[i]!));
  return max;
}

/** max |a - b|; NaN where any is. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let max = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    if (!(d <= max)) max = d;
  }
  return max;
}
