/** A template's text as tokens, by the rules of jinja2 3.1 with `trim_blocks` and `lstrip_blocks`, as transformers sets them. */
import { JinjaError } from './python/values.js';

export type TokenType =
  'data' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'begin' | 'end' | 'eof';

/** `begin` and `end` have the value 'block' or 'variable'; numbers and names their text, strings what they stand for. */
export interface Token {
  readonly type: TokenType;
  readonly value: string;
  readonly line: number;
}

/** What Python's `\s` and `str.strip` take for white space: not U+FEFF, but U+0085 and the separators of ASCII. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const ROOT = new RegExp(
  `(?<raw>\\{%[-+]?[${SPACE}]*raw[${SPACE}]*(?:-%\\}[${SPACE}]*|%\\}))|(?<tag>\\{[{#%])(?<sign>[-+]?)`,
  'g',
);
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?`, 'g');
const RAW_END = new RegExp(
  `\\{%(?<sign>[-+]?)[${SPACE}]*endraw[${SPACE}]*(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`,
  'g',
);
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?`, 'y');
const VARIABLE_END = new RegExp(`-\\}\\}[${SPACE}]*|\\}\\}`, 'y');
const BLANK = new RegExp(`[${SPACE}]+`, 'y');
const ALL_BLANK = new RegExp(`^[${SPACE}]+$`);
const BLANK_END = new RegExp(`[${SPACE}]+$`);

const RULES: readonly (readonly [TokenType, RegExp])[] = [
  ['float', /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{N}\p{M}_]+/uy],
  ['string', /'[^'\\]*(?:\\[^][^'\\]*)*'|"[^"\\]*(?:\\[^][^"\\]*)*"/y],
  ['operator', /\*\*|\/\/|[=!<>]=|[-+/*%~[\](){}<>=.:|,;]/y],
];

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Throws JinjaError with the line. */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStarts = true;
  const advance = (to: number): void => {
    for (let i = source.indexOf('\n', at); i >= 0 && i < to; i = source.indexOf('\n', i + 1)) line++;
    at = to;
    lineStarts = source[to - 1] === '\n';
  };
  const fail = (message: string): never => {
    throw new JinjaError(message, line);
  };
  /** Text before a tag, less what the tag's sign or `lstrip_blocks` takes from its end. */
  const data = (text: string, sign: string, isBlock: boolean): void => {
    let kept = text;
    if (sign === '-') kept = text.replace(BLANK_END, '');
    else if (sign !== '+' && isBlock) {
      const start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarts) && ALL_BLANK.test(text.slice(start))) kept = text.slice(0, start);
    }
    if (kept !== '') tokens.push({ type: 'data', value: kept, line });
  };
  const until = (end: RegExp, what: string): RegExpExecArray => {
    end.lastIndex = at;
    return end.exec(source) ?? fail(`Missing end of ${what}`);
  };

  while (at < source.length) {
    ROOT.lastIndex = at;
    const found = ROOT.exec(source);
    if (!found) {
      data(source.slice(at), '+', false);
      break;
    }
    const { raw, tag } = found.groups!;
    const sign = raw === undefined ? found.groups!['sign']! : (/^\{%([-+]?)/.exec(raw)![1] ?? '');
    data(source.slice(at, found.index), sign, tag !== '{{');
    advance(found.index + found[0].length);
    if (raw !== undefined) {
      const end = until(RAW_END, 'raw directive');
      data(source.slice(at, end.index), end.groups!['sign']!, true);
      advance(end.index + end[0].length);
    } else if (tag === '{#') {
      const end = until(COMMENT_END, 'comment tag');
      advance(end.index + end[0].length);
    } else inside(tag === '{{' ? 'variable' : 'block');
  }
  tokens.push({ type: 'eof', value: '', line });
  return tokens;

  function inside(kind: 'variable' | 'block'): void {
    tokens.push({ type: 'begin', value: kind, line });
    const end = kind === 'variable' ? VARIABLE_END : BLOCK_END;
    const open: string[] = [];
    const match = (rule: RegExp): string | undefined => {
      rule.lastIndex = at;
      return rule.exec(source)?.[0];
    };
    while (at < source.length) {
      const closed = open.length === 0 ? match(end) : undefined;
      if (closed !== undefined) {
        tokens.push({ type: 'end', value: kind, line });
        advance(at + closed.length);
        return;
      }
      const blank = match(BLANK);
      if (blank !== undefined) {
        advance(at + blank.length);
        continue;
      }
      const rule = RULES.find(([, expression]) => match(expression) !== undefined);
      if (!rule) fail(`unexpected char ${JSON.stringify(String.fromCodePoint(source.codePointAt(at)!))}`);
      const [type] = rule!;
      const text = match(rule![1])!;
      if (type === 'operator') balance(text);
      if (type === 'name' && !/^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(text))
        fail('Invalid character in identifier');
      const value =
        type === 'string'
          ? unescaped(text.slice(1, -1), line)
          : text.replaceAll('_', type === 'name' ? '_' : '');
      tokens.push({ type, value: type === 'operator' ? text : value, line });
      advance(at + text.length);
    }

    function balance(sign: string): void {
      if (CLOSING[sign]) open.push(CLOSING[sign]);
      else if (')]}'.includes(sign)) {
        const expected = open.pop();
        if (expected === undefined) fail(`unexpected '${sign}'`);
        if (expected !== sign) fail(`unexpected '${sign}', expected '${expected!}'`);
      }
    }
  }
}

const SIMPLE: Readonly<Record<string, string>> = {
  ...{ n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
};

/** Python's `unicode-escape`. */
function unescaped(text: string, line: number): string {
  const escape = /\\(?:([0-7]{1,3})|x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|([^]))/gi;
  return text.replace(
    escape,
    (all: string, octal?: string, x?: string, u?: string, long?: string, one?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      // The letter's case tells \u from \U; the expression looks at neither.
      const hex = all[1] === 'x' ? x : all[1] === 'u' ? u : all[1] === 'U' ? long : undefined;
      if (hex !== undefined) {
        const code = Number.parseInt(hex, 16);
        if (code > 0x10ffff) throw new JinjaError('illegal Unicode character', line);
        return String.fromCodePoint(code);
      }
      const sign = one ?? all[1]!;
      if ('xuUN'.includes(sign))
        throw new JinjaError(`the escape ${JSON.stringify(all)} is damaged or unknown`, line);
      return SIMPLE[sign] ?? all;
    },
  );
}
