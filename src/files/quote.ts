/** Names that files claim, in messages. */

/** A name from a file, safe to print on one line. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
