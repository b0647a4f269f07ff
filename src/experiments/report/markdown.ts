/** A report as Markdown. */

import { markdownTable } from '../run/results.js';
import type { Block, Report, Table } from './document.js';

export function toMarkdown({ title, subtitle, sections }: Report): string {
  const parts = [`# ${plain(title)}`, plain(subtitle)];
  for (const section of sections) {
    const blocks = section.blocks.map(block).filter((text) => text !== '');
    if (blocks.length > 0) parts.push(`## ${plain(section.title)}`, ...blocks);
  }
  return parts.join('\n\n') + '\n';
}

function block(of: Block): string {
  switch (of.type) {
    case 'text':
      return plain(of.text);
    case 'note':
      return `_${plain(of.text)}_`;
    case 'heading':
      return `### ${plain(of.text)}`;
    case 'list':
      return of.items.map((item) => `- ${plain(item)}`).join('\n');
    case 'table':
      return table(of.table);
    case 'figure':
      return `_${plain(of.figure.title)}: see report.html._`;
    case 'details':
      return [`#### ${plain(of.summary)}`, ...of.blocks.map(block)].join('\n\n');
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
