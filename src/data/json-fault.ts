/**
 * Where a text stops being JSON (RFC 8259). JSON.parse knows, but Node.js 20 does not always say; this is run only after it has failed.
 */

export interface JsonFault {
  /** Of the first character that cannot stand there; the text's length where it ends too early. */
  readonly offset: number;
  /** What could have stood there. */
  readonly expected: string;
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

type State = 'value' | 'first-value' | 'first-key' | 'key' | 'after';

/** The first fault of a text that JSON.parse refuses. */
export function findJsonFault(text: string): JsonFault {
  const closers: string[] = [];
  let at = 0;
  let state: State = 'value';
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const length = pattern.exec(text)?.[0].length;
    at += length ?? 0;
    return length !== undefined;
  };
  // Stops at what cannot stand in a string.
  const takeString = (): boolean => {
    if (text[at] !== '"') return false;
    for (at++; at < text.length && text[at]! >= ' ';) {
      if (text[at] === '"') {
        at++;
        return true;
      }
      if (text[at] !== '\\') at++;
      else if (!take(ESCAPE)) return false;
    }
    return false;
  };
  for (;;) {
    take(SPACE);
    const inString = text[at] === '"';
    const closer = closers.at(-1);
    if (state === 'after') {
      if (closer === undefined) return { offset: at, expected: 'the end' };
      if (text[at] === closer) {
        closers.pop();
        at++;
      } else if (text[at] === ',') {
        at++;
        state = closer === '}' ? 'key' : 'value';
      } else return { offset: at, expected: `a comma or ${closer}` };
    } else if ((state === 'first-key' || state === 'first-value') && text[at] === closer) {
      closers.pop();
      at++;
      state = 'after';
    } else if (state === 'key' || state === 'first-key') {
      if (!takeString())
        return { offset: at, expected: inString ? 'the rest of a string' : 'a key in double quotes' };
      take(SPACE);
      if (text[at] !== ':') return { offset: at, expected: 'a colon' };
      at++;
      state = 'value';
    } else if (text[at] === '{' || text[at] === '[') {
      closers.push(text[at] === '{' ? '}' : ']');
      state = text[at] === '{' ? 'first-key' : 'first-value';
      at++;
    } else if (takeString() || take(NUMBER) || take(WORD)) {
      state = 'after';
    } else return { offset: at, expected: inString ? 'the rest of a string' : 'a value' };
  }
}
