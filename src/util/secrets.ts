/** Tokens and passwords are for the one they are meant for: what is shown or written down has stars in their place. */

const STARS = '***';

/** What the environment says that nobody else should. */
const VARIABLES = [
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'MLFLOW_TRACKING_TOKEN',
  'MLFLOW_TRACKING_PASSWORD',
] as const;

/** Shorter ones stand by chance in other words. */
const LEAST = 4;

/**
 * `text` with what looks like a secret, the environment's, and the `secrets` themselves, as stars: what stands before the @ of an address,
 * the words of an Authorization header, the hub's tokens.
 */
export function masked(text: string, ...secrets: readonly (string | undefined)[]): string {
  let shown = text;
  for (const secret of [...secrets, ...ofEnvironment()]) if (secret) shown = shown.replaceAll(secret, STARS);
  return (
    shown
      .replace(/(\/\/)[^\s'"/?#]*@/g, `$1${STARS}@`)
      // A password with a slash in it: what stands behind the colon is no port.
      .replace(/(\/\/)[^\s'"/:@]*:(?!\d{1,5}(?:\/|\s|$))[^\s'"]*@/g, `$1${STARS}@`)
      .replace(/\b(Bearer|Basic)\s+[^\s'"]+/gi, `$1 ${STARS}`)
      .replace(/\bhf_\w+/g, STARS)
  );
}

/** Whole, line by line, and as a message quotes them, the longest first. */
function ofEnvironment(): string[] {
  return VARIABLES.flatMap((name) => {
    const value = process.env[name] ?? '';
    return [value, JSON.stringify(value).slice(1, -1), value.trim(), ...value.split(/\s+/)];
  })
    .filter((secret) => secret.length >= LEAST)
    .sort((a, b) => b.length - a.length);
}

/** Whether a text can stand in a header as it is: a token with a line break or a space in it was copied wrongly. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
