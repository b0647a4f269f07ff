/** The parts of a Markdown document that can be untrue: its code, its links, its tables. */

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

interface Fence {
  /** The word behind the backticks. */
  readonly language: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

interface Link {
  /** Empty: the document itself. */
  readonly path: string;
  /** A heading, or empty. */
  readonly anchor: string;
}

export interface MarkdownDocument {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
  readonly fences: readonly Fence[];
  /** Code within a line, without its backticks. */
  readonly spans: readonly string[];
  /** Where its links lead and its pictures are; addresses on the web are left out. */
  readonly links: readonly Link[];
  /** As links name them. */
  readonly headings: readonly string[];
  /** The cells of each table row. */
  readonly rows: readonly (readonly string[])[];
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;

export function readDocument(path: string): MarkdownDocument {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const fences = [...text.matchAll(FENCE)].map((match): Fence => ({
    language: match[1]!,
    text: match[2]!,
    line: text.slice(0, match.index).split('\n').length + 1,
  }));
  const prose = text.replace(FENCE, '');
  return {
    path,
    text,
    fences,
    spans: spansOf(prose),
    links: [...prose.matchAll(/(?:\]\(|<img src=")(?!\w+:)([^)"#\s]*)#?([^)"\s]*)[)"]/g)].map(
      ([, link, anchor]) => ({ path: link!, anchor: anchor! }),
    ),
    headings: [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    ),
    rows: prose
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.split('|').slice(1, -1)),
  };
}

export function spansOf(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
}

/** The lines of shell blocks without comments, and the code within lines: whatever may be a command. */
export function commandsOf(document: MarkdownDocument): string[] {
  const shell = document.fences.filter((fence) => fence.language === 'sh');
  const lines = shell.flatMap((fence) => fence.text.split('\n').flatMap((line) => line.split('&&')));
  return [...lines.map((line) => line.replace(/\s#.*$/, '').trim()), ...document.spans];
}

/** The rows of the table under a heading, without the table's own. */
export function tableUnder(document: MarkdownDocument, heading: string): readonly (readonly string[])[] {
  const [, rest = ''] = document.text.split(new RegExp(`^##? ${heading}$`, 'm'));
  const section = rest.split('\n## ')[0]!.split('\n');
  // Below the heads: rules look alike in every table.
  return document.rows
    .filter((row) => section.includes(`|${row.join('|')}|`) && !row.every((cell) => /^:?-+:?$/.test(cell)))
    .slice(1);
}
