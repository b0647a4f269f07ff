/** Ctrl-C, for verbs that leave everything as it was. */

/** Aborted by Ctrl-C; a second one ends the process as ever. */
export function interrupted(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  return stop.signal;
}
