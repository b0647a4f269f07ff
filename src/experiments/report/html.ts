/** A report as one HTML file that asks for nothing: no script, no font, no picture from elsewhere, and a policy that forbids them. */

import { numbered, type ReportBlock, type Cell, type Chapter, type Report, type Table } from './document.js';
import { escapeText } from './escape.js';
import { STYLE } from './style.js';

/** Widths in CSS pixels of a figure's two pictures. */
const WIDE = 720;
const NARROW = 350;

export function toHtml(report: Report): string {
  const { title, subtitle, chapters } = numbered(report);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeText(title)}</h1>
<p class="subtitle">${escapeText(subtitle)}</p>
<nav aria-label="Contents"><ul>${chapters.map(contents).join('')}</ul></nav>
</header>
<main>
${chapters.map(chapterOf).join('\n')}
</main>
</body>
</html>
`;
}

function contents({ id, title, sections }: Chapter): string {
  const link = (of: { readonly id: string; readonly title: string }): string =>
    `<a href="#${escapeText(of.id)}">${escapeText(of.title)}</a>`;
  const below = sections.length === 0 ? '' : `: ${sections.map(link).join(' · ')}`;
  return `<li>${link({ id, title })}${below}</li>`;
}

function chapterOf({ id, title, blocks, sections }: Chapter): string {
  const own = blocks.map(block).join('\n');
  const below = sections.map(
    (section) =>
      `<section id="${escapeText(section.id)}">\n<h3>${escapeText(section.title)}</h3>\n${section.blocks.map(block).join('\n')}\n</section>`,
  );
  return `<section id="${escapeText(id)}">\n<h2>${escapeText(title)}</h2>\n${own}\n${below.join('\n')}\n</section>`;
}

function block(of: ReportBlock): string {
  switch (of.type) {
    case 'text':
      return `<p>${prose(of.text)}</p>`;
    case 'note':
      return `<p class="note">${prose(of.text)}</p>`;
    case 'heading':
      return `<h4>${escapeText(of.text)}</h4>`;
    case 'list':
      return `<ul>${of.items.map((item) => `<li>${prose(item)}</li>`).join('')}</ul>`;
    case 'table':
      return table(of.table);
    case 'figure': {
      const { title, alt, caption, draw } = of.figure;
      const picture = (width: number, kind: string): string =>
        `<div class="${kind}" role="img" aria-label="${escapeText(alt)}">${draw(width)}</div>`;
      return (
        `<figure>\n<figcaption><strong>${escapeText(title)}</strong> ${escapeText(caption)}</figcaption>\n` +
        `${picture(WIDE, 'wide')}\n${picture(NARROW, 'narrow')}\n</figure>`
      );
    }
    case 'details':
      return `<details><summary>${escapeText(of.summary)}</summary>\n${of.blocks.map(block).join('\n')}\n</details>`;
    case 'code':
      return `<pre>${escapeText(of.text)}</pre>`;
    case 'tokens':
      return `<p class="tokens">${of.tokens
        .map(
          ({ text, trained }) =>
            `<${trained ? 'mark' : 'span'}>${escapeText(text)}</${trained ? 'mark' : 'span'}>`,
        )
        .join('')}</p>`;
    case 'html-only':
      return of.blocks.map(block).join('\n');
  }
}

/** Sentences, whose figures stay with their signs and intervals whole where a line ends. */
function prose(text: string): string {
  const kept = text
    .replace(/(?<=\d) (?=%)/g, '\u00a0')
    .replace(/(?<=\[[−\d.]+,) (?=[−\d.]+\])/g, '\u00a0')
    .replace(/(?<=\bp) ([=<]) (?=\d)/g, '\u00a0$1\u00a0');
  return escapeText(kept);
}

function table({ caption, heads, rows }: Table): string {
  const classes = heads.map(({ words, published }) =>
    [words ? 'words' : '', published ? 'published' : ''].filter((name) => name !== '').join(' '),
  );
  const classOf = (i: number): string => (classes[i] === '' ? '' : ` class="${classes[i]}"`);
  const headings = heads.map(
    ({ text, published }, i) =>
      `<th scope="col"${classOf(i)}>${escapeText(text)}${published ? ' <small>published</small>' : ''}</th>`,
  );
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, i) =>
        i === 0
          ? `<th scope="row"${classOf(i)}>${content(cell)}</th>`
          : `<td${classOf(i)}>${content(cell)}</td>`,
      )
      .join('');
  return (
    `<div class="scroll"><table>\n<caption>${escapeText(caption)}</caption>\n<thead><tr>${headings.join('')}</tr></thead>\n` +
    `<tbody>\n${rows.map((row) => `<tr>${line(row)}</tr>`).join('\n')}\n</tbody>\n</table></div>`
  );
}

function content({ text, detail, strong, failed }: Cell): string {
  const plain = failed ? `<span class="failed">${escapeText(text)}</span>` : escapeText(text);
  const shown = strong ? `<b>${plain}</b>` : plain;
  return detail === undefined ? shown : `${shown} <small>${escapeText(detail)}</small>`;
}
