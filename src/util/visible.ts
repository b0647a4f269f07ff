/**
 * Text that came from elsewhere (a file's names, a server's words, a model's answers) as it may be shown: what would steer a terminal,
 * turn the direction of writing around or break a line stands as an escape, `\x1b`, `\u202e`, `\n`, as JavaScript would write it.
 */

/**
 * C0 and C1 controls, line and paragraph separators, overrides and isolates of bidirectional text (CVE-2021-42574), tags, noncharacters
 * and lone surrogates.
 */
const UNSAFE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}\ufffe\uffff]|\p{Surrogate}/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One line: every control is an escape, line breaks and tabs too. What is escaped already stays as it is. */
export function oneLine(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** The same with line breaks and tabs left as they are: for texts that have lines of their own. */
export function visibleLines(text: string): string {
  return text.replace(UNSAFE, (c) => (c === '\n' || c === '\t' ? c : escaped(c)));
}

/** JSON with the same values, in which no control stands as itself. */
export function visibleJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? 'null';
  return text.replace(UNSAFE, (c) =>
    c === '\n' ? c : [...Array(c.length).keys()].map((i) => unit(c, i)).join(''),
  );
}

function escaped(c: string): string {
  const code = c.codePointAt(0)!;
  if (SHORT[c] !== undefined) return SHORT[c];
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : unit(c, 0);
}

function unit(text: string, at: number): string {
  return `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`;
}

/** Columns that a line takes on a terminal: none for marks that join what is before them, two for East Asian wide letters and pictures. */
export function columnsOf(line: string): number {
  // Nearly every text is plain.
  if (/^[\x20-\x7e]*$/.test(line)) return line.length;
  let columns = 0;
  for (const c of line) columns += NO_COLUMN.test(c) ? 0 : WIDE.test(c) ? 2 : 1;
  return columns;
}

const NO_COLUMN = /[\p{Mn}\p{Me}\p{Cf}]/u;
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
