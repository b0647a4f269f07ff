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
const LEAST_KEY = 8;

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

/** What keys and tokens look like, by who gives them out. */
const KINDS: readonly (readonly [what: string, form: RegExp])[] = [
  ['a token of Hugging Face', /\bhf_[A-Za-z0-9]{20,}/],
  ['a key of OpenAI or Anthropic', /\bsk-[A-Za-z0-9_-]{20,}/],
  ['a token of GitHub', /\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})/],
  ['a token of GitLab', /\bglpat-[\w-]{20,}/],
  ['a key of AWS', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ['a key of Google', /\bAIza[\w-]{35}/],
  ['a token of Slack', /\bxox[abprs]-[\w-]{10,}/],
  ['a private key', /-----BEGIN [A-Z ]*PRIVATE KEY-----/],
  ['a password in an address', /\b[a-z][a-z+]*:\/\/[^\s'"/?#:@]+:[^\s'"/?#@]+@/i],
  [
    'a key or a password',
    /["']?\b(?:\w*_)?(?:api_?key|access_?key|access_?token|auth_?token|secret(?:_?key)?|password)["']?\s*[:=]\s*["'][^"'\s]{8,}["']/i,
  ],
];

/** What a text has that looks like a secret, and in which line; undefined: nothing. It is not told itself. */
export function secretIn(text: string): { readonly what: string; readonly line: number } | undefined {
  const lineOf = (at: number): number => text.slice(0, at).split('\n').length;
  for (const [what, form] of KINDS) {
    const at = text.search(form);
    if (at >= 0) return { what, line: lineOf(at) };
  }
  for (const secret of ofEnvironment().filter(({ length }) => length >= LEAST_KEY)) {
    const at = text.indexOf(secret);
    if (at >= 0) return { what: "a secret of the environment's", line: lineOf(at) };
  }
  return undefined;
}

/** Whether a text can stand in a header as it is: a token with a line break or a space in it was copied wrongly. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
