/** A template's text as tokens, by the rules of jinja2 3.1 with `trim_blocks` and `lstrip_blocks`, as transformers sets them. */
import { SPACE } from './python/strings.js';
import { JinjaError } from './python/values.js';

export type TokenType =
  'data' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'begin' | 'end' | 'eof';

/** `begin` and `end` have the value 'block' or 'variable'; numbers and names their text, strings what they stand for. */
export interface Token {
  readonly type: TokenType;
  readonly value: string;
  readonly line: number;
}

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
  return new Lexer(template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '')).tokens();
}

class Lexer {
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #lineStarts = true;
  constructor(private readonly source: string) {}

  tokens(): Token[] {
    const { source } = this;
    while (this.#at < source.length) {
      ROOT.lastIndex = this.#at;
      const found = ROOT.exec(source);
      if (!found) {
        this.#data(source.slice(this.#at), '+', false);
        break;
      }
      const { raw, tag } = found.groups!;
      const sign = raw === undefined ? found.groups!['sign']! : (/^\{%([-+]?)/.exec(raw)![1] ?? '');
      this.#data(source.slice(this.#at, found.index), sign, tag !== '{{');
      this.#advance(found.index + found[0].length);
      if (raw !== undefined) {
        const end = this.#until(RAW_END, 'raw directive');
        this.#data(source.slice(this.#at, end.index), end.groups!['sign']!, true);
        this.#advance(end.index + end[0].length);
      } else if (tag === '{#') {
        const end = this.#until(COMMENT_END, 'comment tag');
        this.#advance(end.index + end[0].length);
      } else this.#inside(tag === '{{' ? 'variable' : 'block');
    }
    this.#add('eof', '');
    return this.#tokens;
  }

  #add(type: TokenType, value: string): void {
    this.#tokens.push({ type, value, line: this.#line });
  }

  #advance(to: number): void {
    const { source } = this;
    for (let i = source.indexOf('\n', this.#at); i >= 0 && i < to; i = source.indexOf('\n', i + 1))
      this.#line++;
    this.#at = to;
    this.#lineStarts = source[to - 1] === '\n';
  }

  #fail(message: string): never {
    throw new JinjaError(message, this.#line);
  }

  /** Text before a tag, less what the tag's sign or `lstrip_blocks` takes from its end. */
  #data(text: string, sign: string, isBlock: boolean): void {
    let kept = text;
    if (sign === '-') kept = text.replace(BLANK_END, '');
    else if (sign !== '+' && isBlock) {
      const start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || this.#lineStarts) && ALL_BLANK.test(text.slice(start))) kept = text.slice(0, start);
    }
    if (kept !== '') this.#add('data', kept);
  }

  #until(end: RegExp, what: string): RegExpExecArray {
    end.lastIndex = this.#at;
    return end.exec(this.source) ?? this.#fail(`Missing end of ${what}`);
  }

  #match(rule: RegExp): string | undefined {
    rule.lastIndex = this.#at;
    return rule.exec(this.source)?.[0];
  }

  /** The tokens of a tag, with its end where it has one. */
  #inside(kind: 'variable' | 'block'): void {
    this.#add('begin', kind);
    const end = kind === 'variable' ? VARIABLE_END : BLOCK_END;
    const open: string[] = [];
    while (this.#at < this.source.length) {
      const closed = open.length === 0 ? this.#match(end) : undefined;
      if (closed !== undefined) {
        this.#add('end', kind);
        this.#advance(this.#at + closed.length);
        return;
      }
      const blank = this.#match(BLANK);
      if (blank !== undefined) this.#advance(this.#at + blank.length);
      else this.#token(open);
    }
  }

  /** A token within a tag; `open` are the signs that close what is open. */
  #token(open: string[]): void {
    const { source } = this;
    const rule = RULES.find(([, expression]) => this.#match(expression) !== undefined);
    if (!rule)
      return this.#fail(
        `unexpected char ${JSON.stringify(String.fromCodePoint(source.codePointAt(this.#at)!))}`,
      );
    const [type, expression] = rule;
    const text = this.#match(expression)!;
    if (type === 'operator') this.#balance(text, open);
    if (type === 'name' && !/^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(text))
      this.#fail('Invalid character in identifier');
    const value =
      type === 'string'
        ? unescaped(text.slice(1, -1), this.#line)
        : text.replaceAll('_', type === 'name' ? '_' : '');
    this.#add(type, type === 'operator' ? text : value);
    this.#advance(this.#at + text.length);
  }

  #balance(sign: string, open: string[]): void {
    if (CLOSING[sign]) open.push(CLOSING[sign]);
    else if (')]}'.includes(sign)) {
      const expected = open.pop();
      if (expected === undefined) this.#fail(`unexpected '${sign}'`);
      if (expected !== sign) this.#fail(`unexpected '${sign}', expected '${expected}'`);
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
