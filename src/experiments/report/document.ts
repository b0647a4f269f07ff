/** A report as data, from which Markdown, HTML and CSV are made: texts are plain, whoever writes them escapes them. */

import type { Estimate } from './evidence.js';
import { percent, withInterval } from '../store/results.js';

export interface Report {
  readonly title: string;
  readonly subtitle: string;
  readonly chapters: readonly Chapter[];
}

export interface Chapter {
  readonly id: string;
  readonly title: string;
  readonly blocks: readonly ReportBlock[];
  readonly sections: readonly Section[];
}

export interface Section {
  readonly id: string;
  readonly title: string;
  readonly blocks: readonly ReportBlock[];
}

export type ReportBlock =
  | { readonly type: 'text'; readonly text: string }
  /** A smaller text: how to read what is above. */
  | { readonly type: 'note'; readonly text: string }
  | { readonly type: 'heading'; readonly text: string }
  | { readonly type: 'list'; readonly items: readonly string[] }
  | { readonly type: 'table'; readonly table: Table }
  | { readonly type: 'figure'; readonly figure: Figure }
  | { readonly type: 'details'; readonly summary: string; readonly blocks: readonly ReportBlock[] }
  | { readonly type: 'code'; readonly text: string }
  /** Tokens, those trained on marked. */
  | {
      readonly type: 'tokens';
      readonly tokens: readonly { readonly text: string; readonly trained: boolean }[];
    }
  /** Only in the HTML: a manifest holds times and machines, which a repeated study does not share. */
  | { readonly type: 'html-only'; readonly blocks: readonly ReportBlock[] };

export interface Table {
  readonly caption: string;
  readonly heads: readonly Head[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface Head {
  readonly text: string;
  /** Words stand left, figures right. */
  readonly words?: boolean;
  /** Not measured here. */
  readonly published?: boolean;
}

export interface Cell {
  readonly text: string;
  /** Stands smaller below it; in Markdown behind it. */
  readonly detail?: string;
  readonly strong?: boolean;
  /** Is not as it should be: its text says so, too. */
  readonly failed?: boolean;
}

export interface Figure {
  readonly title: string;
  /** What is to be seen, for those who do not see it. */
  readonly alt: string;
  readonly caption: string;
  /** The picture at a width in CSS pixels: there is one for screens and paper, and one for phones. */
  readonly draw: (width: number) => string;
}

/** A figure in percent, its deviation over seeds, its interval. */
export function figureCell(estimate: Estimate | undefined, strong = false): Cell {
  if (!estimate) return { text: '–' };
  const { value, interval, deviation } = estimate;
  const text = deviation === undefined ? percent(value) : `${percent(value)} ± ${percent(deviation)}`;
  return {
    text,
    ...(interval && { detail: `[${percent(interval.low)}, ${percent(interval.high)}]` }),
    ...(strong && { strong }),
  };
}

/** In running text: '82.50 % [78.13, 86.56]'. */
export function figureText({ value, interval }: Estimate): string {
  return `${percent(value)} % ${withInterval(value, interval).replace(percent(value), '').trim()}`.trim();
}

/** Percentage points with their sign. */
export function points(difference: number): string {
  const text = percent(Math.abs(difference));
  return Number(text) === 0 ? text : `${difference < 0 ? '−' : '+'}${text}`;
}

export function pText(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

export function count(n: number, thing: string, things = `${thing}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? thing : things}`;
}

/** In percent with one digit, for a single row's figure. */
export function percent1(figure: number): string {
  return (100 * figure).toFixed(1);
}

/** The report with its tables and figures numbered through, so that a text can name them. */
export function numbered(report: Report): Report {
  const numbers = { Table: 0, Figure: 0 };
  const next = (kind: keyof typeof numbers): string => `${kind} ${++numbers[kind]}.`;
  const all = (blocks: readonly ReportBlock[]): ReportBlock[] => blocks.map(one);
  const one = (block: ReportBlock): ReportBlock => {
    if (block.type === 'table')
      return { ...block, table: { ...block.table, caption: `${next('Table')} ${block.table.caption}` } };
    if (block.type === 'figure')
      return { ...block, figure: { ...block.figure, title: `${next('Figure')} ${block.figure.title}` } };
    return block.type === 'details' || block.type === 'html-only'
      ? { ...block, blocks: all(block.blocks) }
      : block;
  };
  const chapters = report.chapters.map((chapter) => ({
    ...chapter,
    blocks: all(chapter.blocks),
    sections: chapter.sections.map((section) => ({ ...section, blocks: all(section.blocks) })),
  }));
  return { ...report, chapters };
}

/** A word at a sentence's beginning. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
