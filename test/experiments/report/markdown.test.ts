/** report.md by a real parser of GitHub's Markdown: whatever a text holds, it is text there, and nothing else. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { lexer, type Token, type Tokens } from 'marked';
import type { ReportBlock, Report } from '../../../src/experiments/report/document.js';
import { toMarkdown } from '../../../src/experiments/report/markdown.js';
import { oneLine } from '../../../src/util/visible.js';
import { reportOf, written } from './support.js';

const PIECES = [
  ...['![x](http://a.example/p.png)', '[x](http://a.example)', '[x][y]', '[y]: http://a.example', '![x][y]'],
  ...[
    '<img src=x onerror=alert(1)>',
    '<script>',
    '</td>',
    '<!--',
    '-->',
    '<http://a.example>',
    '<a@b.example>',
  ],
  ...[
    'http://a.example',
    'https://a.example/(x)',
    'www.a.example',
    'ftp://a',
    'a@b.example',
    'mailto:a@b.example',
  ],
  ...[
    '|',
    '||',
    '\\|',
    '\\',
    '`',
    '``',
    '```',
    '~~~',
    '$x$',
    '**',
    '__',
    '_',
    '*',
    '~~',
    '&lt;',
    '&#60;',
    '&',
  ],
  ...[
    '# ',
    '## ',
    '> ',
    '- ',
    '+ ',
    '* ',
    '1. ',
    '1) ',
    '---',
    '===',
    '    ',
    '\t',
    '- [ ] ',
    ':smile:',
    '^1',
    '[^1]',
  ],
  ...[
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\u2028',
    '\u0085',
    '\u001b[31m',
    '\u009b',
    '\u202e',
    '\u0000',
    ' ',
    'word',
    '[1, 2]',
  ],
  ...['[1.5](x)', '[1, 2]: x', '|---|', '| - |', '!', '[', ']', '(', ')', ':', 'é', '漢字', '🙂', '0', '.'],
];

const text = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...PIECES) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((pieces) => pieces.join(''));

/** What a reader sees of a text. */
function seen(given: string): string {
  return oneLine(given.replace(/\s+/g, ' ')).trim().replace(/\s+/g, ' ');
}

const ALLOWED = new Set(['text', 'escape', 'strong', 'em', 'codespan']);

/** The text of inline tokens. Throws where one of them is more than text. */
function plainText(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      assert.ok(ALLOWED.has(token.type), `${token.type}: ${token.raw}`);
      const { tokens: inner } = token as Partial<Tokens.Strong>;
      if (inner) return plainText(inner);
      return (token as Tokens.Text).text;
    })
    .join('');
}

/** Marked gives texts as HTML shows them, or as they are, by the token's kind. */
function same(found: readonly Token[] | undefined, given: string, prefix = ''): void {
  const shown = plainText(found ?? [])
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
  const plain = (of: string): string =>
    of
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&amp;', '&')
      .replace(/\s+/g, ' ')
      .trim();
  assert.equal(plain(shown), plain(prefix + seen(given)));
}

function reportWith(blocks: readonly ReportBlock[]): Report {
  return { title: 'T', subtitle: 'S', chapters: [{ id: 'c', title: 'C', blocks, sections: [] }] };
}

/** The blocks behind title, subtitle and chapter. */
function parsed(blocks: readonly ReportBlock[]): Token[] {
  const tokens = lexer(toMarkdown(reportWith(blocks))).filter(({ type }) => type !== 'space');
  assert.deepEqual(
    tokens.slice(0, 3).map(({ type }) => type),
    ['heading', 'paragraph', 'heading'],
  );
  return tokens.slice(3);
}

const visible = text.filter((t) => seen(t) !== '');

describe('a text in report.md is text, whatever it holds', () => {
  test('in paragraphs, notes, headings and lists', () => {
    fc.assert(
      fc.property(visible, visible, (a, b) => {
        const [paragraph, note, heading, list, ...more] = parsed([
          { type: 'text', text: a },
          { type: 'note', text: b },
          { type: 'heading', text: a },
          { type: 'list', items: [a, b] },
        ]);
        assert.deepEqual(more, []);
        assert.equal(paragraph!.type, 'paragraph');
        same((paragraph as Tokens.Paragraph).tokens, a);
        assert.equal(note!.type, 'paragraph');
        same((note as Tokens.Paragraph).tokens, b);
        assert.equal(heading!.type, 'heading');
        same((heading as Tokens.Heading).tokens, a);
        assert.equal(list!.type, 'list');
        const items = (list as Tokens.List).items;
        assert.equal(items.length, 2);
        for (const [i, item] of items.entries()) {
          assert.equal(item.task, false);
          const inner = item.tokens.flatMap((t) =>
            t.type === 'text' ? ((t as Partial<Tokens.Text>).tokens ?? [t]) : [t],
          );
          same(inner, [a, b][i]!);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('in tables, whose cells stay as many as they are', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }), visible, (rows, head) => {
        const [caption, found, ...more] = parsed([
          {
            type: 'table',
            table: {
              caption: head,
              heads: [{ text: 'a' }, { text: head }],
              rows: rows.map(([x, y], i) => [
                { text: x, strong: i % 2 === 0 },
                { text: y, detail: x },
              ]),
            },
          },
        ]);
        assert.deepEqual(more, []);
        same((caption as Tokens.Paragraph).tokens, head, 'Table 1. ');
        assert.equal(found!.type, 'table');
        const { header, rows: cells } = found as Tokens.Table;
        assert.equal(header.length, 2);
        same(header[1]!.tokens, head);
        assert.equal(cells.length, rows.length);
        for (const [i, row] of cells.entries()) {
          assert.equal(row.length, 2);
          same(row[0]!.tokens, rows[i]![0]);
          same(row[1]!.tokens, `${seen(rows[i]![1])} ${seen(rows[i]![0])}`);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('among tokens, and in code', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, fc.boolean()), { minLength: 1, maxLength: 5 }),
        text,
        (tokens, code) => {
          const found = parsed([
            { type: 'text', text: 'before' },
            { type: 'tokens', tokens: tokens.map(([t, trained]) => ({ text: t, trained })) },
            { type: 'code', text: code },
          ]);
          assert.deepEqual(new Set(found.map(({ type }) => type)), new Set(['paragraph', 'code']));
          for (const block of found)
            if (block.type === 'paragraph') plainText((block as Tokens.Paragraph).tokens);
          assert.equal(found.filter(({ type }) => type === 'code').length, 1);
        },
      ),
      { numRuns: 1500 },
    );
  });

  test('a stretch that is trained on is bold, without the white space at its ends', () => {
    const tokens = [' The', ' topic', ':', ' cats', '\n'].map((t, i) => ({ text: t, trained: i > 2 }));
    assert.match(toMarkdown(reportWith([{ type: 'tokens', tokens }])), /^The topic: \*\*cats\*\*$/m);
  });

  test('intervals keep their brackets', () => {
    const { markdown } = reportOf([written({ id: 'a1', right: 10 })]);
    assert.match(markdown, /50\.00 \[\d+\.\d+, \d+\.\d+\]/);
  });
});
