/** How work ends that its caller's signal has ended. */

/** Like the platform's own: `name` and `code` tell it apart. */
export class AbortError extends Error {
  override readonly name = 'AbortError';
  readonly code = 'ABORT_ERR';
}

/** The signal's reason where that is an AbortError, as `fetch` has it; else one whose `cause` it is. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  if (reason instanceof Error && reason.name === 'AbortError') return reason;
  return new AbortError('the work was aborted', { cause: reason });
}

/** Throws an AbortError once `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}

/** Runs `body`, which asks a backend for work: once the signal is aborted, and nobody wants it, that may be left out (`Backend.abortable`). */
export function abortable<T>(
  backend: { abortable<U>(signal: AbortSignal, body: () => U): U },
  signal: AbortSignal | undefined,
  body: () => T,
): T {
  return signal ? backend.abortable(signal, body) : body();
}

/** Whether `error` is how work ended for `signal`. */
export function isAbort(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && error instanceof Error && error.name === 'AbortError';
}
