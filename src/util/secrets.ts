/** Tokens and passwords are for the one they are meant for: what is shown or written down has stars in their place. */

const STARS = '***';

/**
 * `text` with what looks like a secret, and the `secrets` themselves, as stars: what stands before the @ of an address, the words of an
 * Authorization header, the hub's tokens.
 */
export function masked(text: string, ...secrets: readonly (string | undefined)[]): string {
  let shown = text;
  for (const secret of secrets) if (secret) shown = shown.replaceAll(secret, STARS);
  return shown
    .replace(/(\/\/)[^\s'"]*@/g, `$1${STARS}@`)
    .replace(/\b(Bearer|Basic)\s+[^\s'"]+/gi, `$1 ${STARS}`)
    .replace(/\bhf_\w+/g, STARS);
}

/** Whether a text can stand in a header as it is: a token with a line break or a space in it was copied wrongly. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
