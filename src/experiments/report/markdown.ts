/** A report as Markdown. */

import { oneLine, visibleLines } from '../../util/visible.js';
import { markdownTable } from '../store/results.js';
import { numbered, type ReportBlock, type Report, type Table } from './document.js';

export function toMarkdown(report: Report): string {
  const { title, subtitle, chapters } = numbered(report);
  const parts = [`# ${plain(title)}`, plain(subtitle)];
  for (const chapter of chapters) {
    const sections = chapter.sections.flatMap((section) =>
      headed(`### ${plain(section.title)}`, section.blocks),
    );
    const own = texts(chapter.blocks);
    if (own.length + sections.length > 0) parts.push(`## ${plain(chapter.title)}`, ...own, ...sections);
  }
  return parts.join('\n\n') + '\n';
}

function headed(heading: string, blocks: readonly ReportBlock[]): string[] {
  const found = texts(blocks);
  return found.length === 0 ? [] : [heading, ...found];
}

function texts(blocks: readonly ReportBlock[]): string[] {
  return blocks.map(block).filter((text) => text !== '');
}

function block(of: ReportBlock): string {
  switch (of.type) {
    case 'text':
      return plain(of.text);
    case 'note':
      return `_${plain(of.text)}_`;
    case 'heading':
      return `#### ${plain(of.text)}`;
    case 'list':
      return of.items.map((item) => `- ${plain(item)}`).join('\n');
    case 'table':
      return table(of.table);
    case 'figure':
      return `_${plain(of.figure.title)} (in report.html)_`;
    case 'details':
      return [`#### ${plain(of.summary)}`, ...texts(of.blocks)].join('\n\n');
    case 'code':
      return fenced(of.text);
    case 'tokens':
      return tokens(of.tokens);
    case 'html-only':
      return '';
  }
}

function table({ caption, heads, rows }: Table): string {
  const cells = rows.map((row) =>
    row.map(({ text, detail, strong }) => {
      const plainly = cell(text);
      const shown = strong && plainly !== '' ? `**${plainly}**` : plainly;
      return detail === undefined ? shown : `${shown} ${cell(detail)}`;
    }),
  );
  return `${plain(caption)}\n\n${markdownTable(
    heads.map(({ text, published }) => cell(published ? `${text} (published)` : text)),
    cells,
  )}`;
}

/** Tokens as running text, trained stretches bold; white space at a stretch's ends stands outside, where it would undo the marks. */
function tokens(of: (ReportBlock & { type: 'tokens' })['tokens']): string {
  const stretches: { text: string; trained: boolean }[] = [];
  for (const { text, trained } of of) {
    const last = stretches.at(-1);
    if (last?.trained === trained) last.text += text;
    else stretches.push({ text, trained });
  }
  const shown = stretches.map(({ text, trained }) => {
    const [, before, middle, after] = /^(\s*)([\s\S]*?)(\s*)$/.exec(text)!;
    const [left, right] = [before, after].map((space) => (space === '' ? '' : ' '));
    return `${left}${trained && middle !== '' ? `**${inline(middle!)}**` : inline(middle!)}${right}`;
  });
  return guarded(shown.join('').trim());
}

/** Text that means itself within a line. */
function cell(text: string): string {
  return inline(text).trim();
}

/** Text that means itself: on one line, with nothing that Markdown or HTML would take for a mark. */
function plain(text: string): string {
  return guarded(cell(text));
}

/** A line's beginning that would make it a heading, a list or a rule, and the end that a heading would lose. */
function guarded(line: string): string {
  return line
    .replace(/^(\d{1,9})(?=[.)])/, '$1\\')
    .replace(/^[-+=#:]/, '\\$&')
    .replace(/(?<!\\)#$/, '\\#');
}

/**
 * What GitHub's Markdown makes a link of without being asked: there a backslash does not help, since it looks at the text that is left.
 * Within backticks it stands as it is. None of these pieces holds a backtick, a pipe or a backslash.
 */
const ADDRESS = /[^\s`|\\]*(?::\/\/|www\.|@|mailto:|xmpp:)[^\s`|\\]*/gi;

function inline(text: string): string {
  const line = oneLine(text.replace(/\s+/g, ' '));
  let out = '';
  let at = 0;
  for (const { 0: address, index } of line.matchAll(ADDRESS)) {
    out += `${marked(line.slice(at, index))}\`${address}\``;
    at = index + address.length;
  }
  return out + marked(line.slice(at));
}

/** `&` would begin an entity, `$` a formula, `:` a picture by its name; an interval's brackets are no link's. */
function marked(text: string): string {
  return text.replace(
    /(\[[-+−\d., ]+\])(?![([:])|[\\`*_~|<>[\]&$]|:(?=[\w+-]+:)/g,
    (mark, interval: string | undefined) => (interval === undefined ? `\\${mark}` : mark),
  );
}

/** A fence that is longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${visibleLines(text)}\n${fence}`;
}
