/** Texts that are equal to an earlier one. */

/** Texts by the number of the first that is equal. */
export function firstOf(texts: readonly string[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const [i, text] of texts.entries()) if (!first.has(text)) first.set(text, i);
  return first;
}

/** Of each text the number of the first one that is equal, where that is an earlier one, else -1. */
export function repeatsOf(texts: readonly string[]): Int32Array {
  const first = firstOf(texts);
  return Int32Array.from(texts, (text, i) => {
    const of = first.get(text)!;
    return of === i ? -1 : of;
  });
}
