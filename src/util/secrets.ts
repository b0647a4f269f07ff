/** Keeping passwords and tokens out of what people see: addresses and headers come back in the messages of whoever refuses them. */

const HIDDEN = '***';

/** What the environment says that nobody else should. */
const VARIABLES = [
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'MLFLOW_TRACKING_TOKEN',
  'MLFLOW_TRACKING_PASSWORD',
] as const;

/** Shorter ones stand by chance in other words. */
const LEAST = 4;

/** `text` with *** in the place of what stands before the @ of an address, of a token of a header, and of the environment's secrets. */
export function maskSecrets(text: string): string {
  let masked = text;
  for (const secret of knownSecrets()) masked = masked.replaceAll(secret, HIDDEN);
  return (
    masked
      .replace(/(:\/\/)[^\s/?#]*@/g, `$1${HIDDEN}@`)
      // A password with a slash in it: what stands behind the colon is no port.
      .replace(/(:\/\/)[^\s/:@]*:(?!\d{1,5}(?:\/|\s|$))\S*@/g, `$1${HIDDEN}@`)
      .replace(/\b(Bearer|Basic)\s+[^\s"',]+/gi, `$1 ${HIDDEN}`)
      .replace(/\bhf_\w{10,}/g, HIDDEN)
  );
}

/** Whole, line by line, and as a message quotes them, the longest first. */
function knownSecrets(): string[] {
  return VARIABLES.flatMap((name) => {
    const value = process.env[name] ?? '';
    return [value, JSON.stringify(value).slice(1, -1), value.trim(), ...value.split(/\s+/)];
  })
    .filter((secret) => secret.length >= LEAST)
    .sort((a, b) => b.length - a.length);
}
