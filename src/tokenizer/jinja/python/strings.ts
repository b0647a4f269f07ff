/** The methods of Python's str, over characters. */
import { bind, text, whole } from './arguments.js';
import { strFormat } from './format.js';
import { sized } from './limits.js';
import {
  Callable,
  characters,
  fault,
  iterate,
  known,
  lengthOf,
  refuse,
  Tuple,
  typeName,
  Undefined,
  type CallArguments,
  type Value,
} from './values.js';

/** What Python's `\s` and `str.strip` take for white space: not U+FEFF, but U+0085 and the separators of ASCII. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const SPACES = new RegExp(`[${SPACE}]+`);
const LINES = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

/** `str.strip` and its kin: by white space, or by a set of characters. */
export function strip(of: string, chars: Value | undefined, left: boolean, right: boolean): string {
  if (chars instanceof Undefined) chars.fail();
  if (chars === undefined || chars === null) {
    let out = of;
    if (left) out = out.replace(new RegExp(`^[${SPACE}]+`), '');
    return right ? out.replace(new RegExp(`[${SPACE}]+$`), '') : out;
  }
  if (typeof chars !== 'string') return fault(`strip arg must be None or str, not ${typeName(chars)}`);
  const set = new Set(characters(chars));
  const signs = characters(of);
  let [from, to] = [0, signs.length];
  while (left && from < to && set.has(signs[from]!)) from++;
  while (right && to > from && set.has(signs[to - 1]!)) to--;
  return signs.slice(from, to).join('');
}

export function splitLines(of: string, keep = false): string[] {
  const lines: string[] = [];
  let at = 0;
  for (const end of of.matchAll(LINES)) {
    lines.push(of.slice(at, keep ? end.index + end[0].length : end.index));
    at = end.index + end[0].length;
  }
  if (at < of.length) lines.push(of.slice(at));
  return lines;
}

function split(of: string, args: CallArguments, fromRight: boolean): string[] {
  const [separator, most] = bind('split', args, ['sep', 'maxsplit']);
  const limit = whole('maxsplit', most, -1);
  const max = limit < 0 ? Infinity : limit;
  if (separator === undefined || separator === null) {
    const words = strip(of, undefined, true, true);
    if (words === '') return [];
    const all = words.split(SPACES);
    if (all.length <= max) return all;
    // What is not split keeps its inner white space, and its outer but on the side where splitting began.
    const cut = new RegExp(
      fromRight ? `[${SPACE}]*[^${SPACE}]+[${SPACE}]*$` : `^[${SPACE}]*[^${SPACE}]+[${SPACE}]*`,
    );
    let rest = of;
    const taken: string[] = [];
    for (let i = 0; i < max; i++) {
      const [word] = cut.exec(rest)!;
      taken.push(strip(word, undefined, true, true));
      rest = fromRight ? rest.slice(0, -word.length) : rest.slice(word.length);
    }
    rest = strip(rest, undefined, !fromRight, fromRight);
    return fromRight ? [rest, ...taken.reverse()] : [...taken, rest];
  }
  if (typeof separator !== 'string') return fault(`must be str or None, not ${typeName(separator)}`);
  if (separator === '') return fault('empty separator');
  const all = of.split(separator);
  if (all.length <= max + 1) return all;
  return fromRight
    ? [all.slice(0, all.length - max).join(separator), ...all.slice(all.length - max)]
    : [...all.slice(0, max), all.slice(max).join(separator)];
}

export function replace(of: string, old: string, by: string, count: number): string {
  if (count === 0) return of;
  const pieces = old === '' ? ['', ...characters(of), ''] : of.split(old);
  const max = count < 0 ? Infinity : count;
  if (pieces.length <= max + 1) {
    sized(of.length + (pieces.length - 1) * by.length);
    return pieces.join(by);
  }
  return pieces.slice(0, max + 1).join(by) + (old === '' ? '' : old) + pieces.slice(max + 1).join(old);
}

/** The first letter as titles have it. */
const TITLE: Readonly<Record<string, string>> = {
  ǆ: 'ǅ',
  Ǆ: 'ǅ',
  ǅ: 'ǅ',
  ǉ: 'ǈ',
  Ǉ: 'ǈ',
  ǈ: 'ǈ',
  ǌ: 'ǋ',
  Ǌ: 'ǋ',
  ǋ: 'ǋ',
  ǳ: 'ǲ',
  Ǳ: 'ǲ',
  ǲ: 'ǲ',
};
const titled = (sign: string): string => {
  const upper = TITLE[sign] ?? sign.toUpperCase();
  const [first = '', ...more] = characters(upper);
  return first + more.join('').toLowerCase();
};

export function capitalize(of: string): string {
  const [first = ''] = characters(of);
  // All of it, since a sigma is another letter at a word's end.
  return titled(first) + of.toLowerCase().slice(first.toLowerCase().length);
}

const CASED = /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u;

function title(of: string): string {
  return of.replace(/[\p{Lowercase}\p{Uppercase}\p{Lt}]+/gu, (word) => capitalize(word));
}

export function isLower(of: string): boolean {
  return /\p{Lowercase}/u.test(of) && !/[\p{Uppercase}\p{Lt}]/u.test(of);
}

export function isUpper(of: string): boolean {
  return /\p{Uppercase}/u.test(of) && !/[\p{Lowercase}\p{Lt}]/u.test(of);
}

const every =
  (expression: RegExp) =>
  (of: string): boolean =>
    of !== '' && characters(of).every((sign) => expression.test(sign));

/** Digits beside the decimal ones: superscripts, circled and the like. */
const DIGIT =
  /[\p{Nd}²³¹\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792]/u;

const TESTS: Readonly<Record<string, (of: string) => boolean>> = {
  isalpha: every(/\p{L}/u),
  isalnum: every(/[\p{L}\p{N}]/u),
  isdecimal: every(/\p{Nd}/u),
  isdigit: every(DIGIT),
  isspace: every(new RegExp(`[${SPACE}]`)),
  islower: isLower,
  isupper: isUpper,
  istitle: (of) => CASED.test(of) && title(of) === of,
  isascii: (of) => /^[\0-\x7f]*$/.test(of),
  isidentifier: (of) => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(of),
};

type Method = (of: string, args: CallArguments) => Value;

/** A part of the text, by optional start and end, and where it begins. */
function part(
  of: string,
  start: Value | undefined,
  end: Value | undefined,
): [signs: readonly string[], from: number] {
  const signs = characters(of);
  const clip = (at: Value | undefined, usual: number): number => {
    if (at === undefined || at === null) return usual;
    const n = whole('slice index', at, 0);
    return Math.min(Math.max(n < 0 ? n + signs.length : n, 0), signs.length);
  };
  const from = clip(start, 0);
  return [signs.slice(from, Math.max(from, clip(end, signs.length))), from];
}

const find =
  (last: boolean, must: boolean): Method =>
  (of, args) => {
    const [sub, start, end] = bind('find', args, ['sub', 'start', 'end'], 1);
    const [signs, from] = part(of, start, end);
    const inside = signs.join('');
    const wanted = text('find', sub, '');
    const at = last ? inside.lastIndexOf(wanted) : inside.indexOf(wanted);
    if (at < 0) return must ? fault('substring not found') : -1n;
    return BigInt(from + lengthOf(inside.slice(0, at)));
  };

const edge =
  (name: string, test: (of: string, affix: string) => boolean): Method =>
  (of, args) => {
    const [affix, start, end] = bind(name, args, ['prefix', 'start', 'end'], 1);
    if (affix instanceof Undefined) affix.fail();
    const inside = part(of, start, end)[0].join('');
    const affixes = affix instanceof Tuple ? affix.items : [affix];
    return affixes.some((one) =>
      typeof one === 'string'
        ? test(inside, one)
        : fault(`${name} first arg must be str or a tuple of str, not ${typeName(one!)}`),
    );
  };

const adjusted =
  (align: '<' | '>'): Method =>
  (of, args) => {
    const [width, fill] = bind('just', args, ['width', 'fillchar'], 1);
    return pad(of, whole('width', width, 0), text('fillchar', fill, ' '), align);
  };

function pad(of: string, width: number, fill: string, align: '<' | '>' | '^'): string {
  if (lengthOf(fill) !== 1) fault('The fill character must be exactly one character long');
  const room = sized(width) - lengthOf(of);
  if (room <= 0) return of;
  if (align === '<') return of + fill.repeat(room);
  if (align === '>') return fill.repeat(room) + of;
  // Python puts the odd one left where the width is odd, too.
  const left = Math.floor(room / 2) + (room & width & 1);
  return fill.repeat(left) + of + fill.repeat(room - left);
}

export const center = (of: string, width: number, fill = ' '): string => pad(of, width, fill, '^');

const partition =
  (last: boolean): Method =>
  (of, args) => {
    const [separator] = bind('partition', args, ['sep'], 1);
    const by = text('partition', separator, '');
    if (by === '') fault('empty separator');
    const at = last ? of.lastIndexOf(by) : of.indexOf(by);
    if (at < 0) return new Tuple(last ? ['', '', of] : [of, '', '']);
    return new Tuple([of.slice(0, at), by, of.slice(at + by.length)]);
  };

const one =
  (
    name: string,
    parameters: readonly string[],
    work: (of: string, ...values: (Value | undefined)[]) => Value,
  ): Method =>
  (of, args) =>
    work(of, ...bind(name, args, parameters));

const METHODS: Readonly<Record<string, Method>> = {
  lower: one('lower', [], (of) => of.toLowerCase()),
  upper: one('upper', [], (of) => of.toUpperCase()),
  capitalize: one('capitalize', [], capitalize),
  title: one('title', [], title),
  strip: one('strip', ['chars'], (of, chars) => strip(of, chars, true, true)),
  lstrip: one('lstrip', ['chars'], (of, chars) => strip(of, chars, true, false)),
  rstrip: one('rstrip', ['chars'], (of, chars) => strip(of, chars, false, true)),
  split: (of, args) => split(of, args, false),
  rsplit: (of, args) => split(of, args, true),
  splitlines: one('splitlines', ['keepends'], (of, keep) => splitLines(of, keep === true || keep === 1n)),
  replace: (of, args) => {
    const [old, by, count] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(of, text('replace', old, ''), text('replace', by, ''), whole('count', count, -1));
  },
  startswith: edge('startswith', (of, affix) => of.startsWith(affix)),
  endswith: edge('endswith', (of, affix) => of.endsWith(affix)),
  removeprefix: one('removeprefix', ['prefix'], (of, prefix) => {
    const begin = text('removeprefix', prefix, '');
    return of.startsWith(begin) ? of.slice(begin.length) : of;
  }),
  removesuffix: one('removesuffix', ['suffix'], (of, suffix) => {
    const end = text('removesuffix', suffix, '');
    return end !== '' && of.endsWith(end) ? of.slice(0, -end.length) : of;
  }),
  find: find(false, false),
  rfind: find(true, false),
  index: find(false, true),
  rindex: find(true, true),
  count: (of, args) => {
    const [sub, start, end] = bind('count', args, ['sub', 'start', 'end'], 1);
    const [signs] = part(of, start, end);
    const wanted = text('count', sub, '');
    return BigInt(wanted === '' ? signs.length + 1 : signs.join('').split(wanted).length - 1);
  },
  join: one('join', ['iterable'], (of, items) => {
    const all = iterate(known(items, () => fault('join() takes exactly one argument (0 given)')));
    const texts = all.map((item, i) =>
      typeof item === 'string'
        ? item
        : fault(`sequence item ${i}: expected str instance, ${typeName(item)} found`),
    );
    sized(texts.reduce((sum, { length }) => sum + length + of.length, 0));
    return texts.join(of);
  }),
  zfill: one('zfill', ['width'], (of, width) => {
    const room = sized(whole('width', width, 0)) - lengthOf(of);
    const signed = /^[-+]/.test(of);
    return room <= 0 ? of : (signed ? of[0]! : '') + '0'.repeat(room) + (signed ? of.slice(1) : of);
  }),
  ljust: adjusted('<'),
  rjust: adjusted('>'),
  center: one('center', ['width', 'fillchar'], (of, width, fill) =>
    center(of, whole('width', width, 0), text('fillchar', fill, ' ')),
  ),
  partition: partition(false),
  rpartition: partition(true),
  swapcase: one('swapcase', [], (of) =>
    (of.includes('Σ') ? [refuse('str.swapcase of a sigma')] : characters(of))
      .map((sign) => (/\p{Uppercase}/u.test(sign) ? sign.toLowerCase() : sign.toUpperCase()))
      .join(''),
  ),
  format: strFormat,
  ...Object.fromEntries(
    Object.entries(TESTS).map(([name, test]) => [name, one(name, [], (of) => test(of))] as const),
  ),
};

const OTHERS = new Set([
  'casefold',
  'encode',
  'expandtabs',
  'format_map',
  'isnumeric',
  'isprintable',
  'maketrans',
  'translate',
]);

/** A method of a text by its name; undefined where Python's str has none. */
export function stringMethod(of: string, name: string): Callable | undefined {
  if (OTHERS.has(name)) refuse(`str.${name}`);
  if (!Object.hasOwn(METHODS, name)) return undefined;
  const method = METHODS[name]!;
  return new Callable(name, (args) => method(of, args), undefined, 'builtin_function_or_method');
}
