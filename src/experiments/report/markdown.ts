/** A report as Markdown. */

import { markdownTable } from '../run/results.js';
import { numbered, type Block, type Report, type Table } from './document.js';

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

function headed(heading: string, blocks: readonly Block[]): string[] {
  const found = texts(blocks);
  return found.length === 0 ? [] : [heading, ...found];
}

function texts(blocks: readonly Block[]): string[] {
  return blocks.map(block).filter((text) => text !== '');
}

function block(of: Block): string {
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
      return of.tokens.map(({ text, trained }) => (trained ? `**${inline(text)}**` : inline(text))).join('');
    case 'html-only':
      return '';
  }
}

function table({ caption, heads, rows }: Table): string {
  const cells = rows.map((row) =>
    row.map(({ text, detail, strong }) => {
      const shown = strong ? `**${plain(text)}**` : plain(text);
      return detail === undefined ? shown : `${shown} ${plain(detail)}`;
    }),
  );
  return `${plain(caption)}\n\n${markdownTable(
    heads.map(({ text, published }) => plain(published ? `${text} (published)` : text)),
    cells,
  )}`;
}

/** Text that means itself: on one line, with nothing that Markdown or HTML would take for a mark. */
function plain(text: string): string {
  return inline(text).trim();
}

function inline(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_~|<>]/g, '\\$&')
    .replace(/\[(?=[^\]]*\]\()/g, '\\[');
}

/** A fence that is longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
