/** jinja2's filters of texts. */
import { bind, text, whole, type Filter } from './python/arguments.js';
import { percent } from './python/format.js';
import { toJson } from './python/json.js';
import { sized } from './python/limits.js';
import { print } from './python/print.js';
import { capitalize, center, replace, SPACE, splitLines, strip } from './python/strings.js';
import {
  characters,
  Dict,
  fault,
  isNumeric,
  isTrue,
  iterate,
  lengthOf,
  Markup,
  refuse,
  Tuple,
  typeName,
  Undefined,
  View,
  type Value,
} from './python/values.js';

const onText =
  (name: string, work: (of: string) => string): Filter =>
  (value, args) => {
    bind(name, args, []);
    return work(print(value));
  };

const indent: Filter = (value, args) => {
  const [width = 4n, begin = false, blank = false] = bind('indent', args, ['width', 'first', 'blank']);
  const by = typeof width === 'string' ? width : ' '.repeat(sized(whole('width', width, 4)));
  if (value instanceof Undefined) value.fail();
  if (typeof value !== 'string')
    return value instanceof Markup
      ? refuse('indenting an escaped string')
      : fault(`unsupported operand type(s) for +=: '${typeName(value)}' and 'str'`);
  const [top = '', ...lines] = splitLines(`${value}\n`);
  const rest = lines.map((line) => `\n${line !== '' || isTrue(blank) ? by : ''}${line}`);
  return (isTrue(begin) ? by : '') + top + rest.join('');
};

const truncate: Filter = (value, args) => {
  const names = ['length', 'killwords', 'end', 'leeway'];
  const [most, kill = false, tail, slack] = bind('truncate', args, names);
  const [length, end, leeway] = [
    whole('length', most, 255),
    text('end', tail, '...'),
    slack === null ? 5 : whole('leeway', slack, 5),
  ];
  if (length < lengthOf(end)) fault(`expected length >= ${lengthOf(end)}, got ${length}`);
  if (leeway < 0) fault(`expected leeway >= 0, got ${leeway}`);
  if (value instanceof Undefined) return lengthOf(value) <= length + leeway ? value : '';
  if (typeof value !== 'string') return refuse(`truncating a ${typeName(value)}`);
  const signs = characters(value);
  if (signs.length <= length + leeway) return value;
  const cut = signs.slice(0, length - lengthOf(end)).join('');
  if (isTrue(kill)) return cut + end;
  return (cut.includes(' ') ? cut.slice(0, cut.lastIndexOf(' ')) : cut) + end;
};

const escape = (value: Value): Value => {
  if (value instanceof Markup) return value;
  const named: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    "'": '&#39;',
    '"': '&#34;',
  };
  return new Markup(print(value).replace(/[&<>'"]/g, (sign) => named[sign]!));
};

const urlencode: Filter = (value) => {
  const quote = (of: Value, query: boolean): string => {
    const out = encodeURIComponent(print(of)).replace(
      /[!'()*]/g,
      (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    return query ? out.replaceAll('%20', '+') : out.replaceAll('%2F', '/');
  };
  if (typeof value === 'string' || isNumeric(value) || value === null || value instanceof Markup)
    return quote(value, false);
  const pairs = value instanceof Dict ? new View(value, 'items').items : iterate(value);
  return pairs
    .map((pair) => {
      const [key, item, more] = iterate(pair);
      if (key === undefined || item === undefined || more !== undefined)
        return fault('cannot unpack a pair of a query');
      return `${quote(key, true)}=${quote(item, true)}`;
    })
    .join('&');
};

export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  capitalize: onText('capitalize', capitalize),
  center: (value, args) => center(print(value), whole('center', bind('center', args, ['width'])[0], 80)),
  e: escape,
  escape,
  forceescape: (value) => escape(value instanceof Markup ? value.text : value),
  format: (value, { positional, named }) => {
    if (positional.length > 0 && named.size > 0)
      fault("can't handle positional and keyword arguments at the same time");
    return percent(print(value), named.size > 0 ? new Dict(named) : new Tuple(positional));
  },
  indent,
  lower: onText('lower', (of) => of.toLowerCase()),
  replace: (value, args) => {
    const [old, by, count] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(print(value), print(old!), print(by!), count === null ? -1 : whole('count', count, -1));
  },
  safe: (value) => (value instanceof Markup ? value : new Markup(print(value))),
  string: (value) => (value instanceof Markup ? value : print(value)),
  title: onText('title', (of) =>
    of
      .split(new RegExp(`([-${SPACE}({\\[<]+)`, 'u'))
      .map((part) => {
        const [initial = '', ...rest] = characters(part);
        return initial.toUpperCase() + rest.join('').toLowerCase();
      })
      .join(''),
  ),
  tojson: (value, args) => toJson(value, args),
  trim: (value, args) => strip(print(value), bind('trim', args, ['chars'])[0], true, true),
  truncate,
  upper: onText('upper', (of) => of.toUpperCase()),
  urlencode,
  wordcount: (value) => BigInt(print(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
};
