/** Reports of made-up runs, and how their tables are read. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { parse } from 'csv-parse/sync';
import {
  makeReport,
  readRuns,
  type ReportFiles,
  type ReportOptions,
} from '../../../src/experiments/report/index.js';
import { writeRun, type Fixture } from './fixtures.js';

const roots: string[] = [];
after(() => roots.forEach((root) => rmSync(root, { recursive: true })));

export function written(...fixtures: Fixture[]): string {
  const root = mkdtempSync(join(tmpdir(), 'westwind-report-'));
  roots.push(root);
  for (const fixture of fixtures) writeRun(root, fixture);
  return root;
}

export function reportOf(folders: readonly string[], options?: ReportOptions): ReportFiles {
  const { runs, damaged } = readRuns(folders);
  return makeReport(runs, { damaged, ...options });
}

export function sheet({ tables }: ReportFiles, name: string): Record<string, string>[] {
  return parse(tables[name]!, { columns: true });
}

/** The cells, heads first, of a Markdown table, by its number. */
export function table({ markdown }: ReportFiles, number: number): string[][] {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`Table ${number}. `));
  assert.ok(start >= 0, `no Table ${number}`);
  const rows = lines.slice(start + 2);
  return rows
    .slice(0, rows.indexOf(''))
    .filter((_, i) => i !== 1)
    .map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));
}
