/** Runs into a report: Markdown, one HTML file, and a CSV file for each table. The same runs give the same bytes. */

import { tasks } from '../../tasks/index.js';
import { join } from 'node:path';
import { claimFolder, type ClaimOptions } from '../../util/claim.js';
import type { StoredRun } from '../store/stored.js';
import type { Context } from './context.js';
import { capital, count, type Chapter, type Report } from './document.js';
import { soundRuns, type DamagedRun } from './gather.js';
import { toHtml } from './html.js';
import { toMarkdown } from './markdown.js';
import { publishedFor, type PublishedChoice, type PublishedName } from './published.js';
import { ablationSection } from './sections/ablation.js';
import { checksSection } from './sections/checks.js';
import { confusionSection, differencesSection } from './sections/answers.js';
import { methodSection } from './sections/methods.js';
import { modelSection } from './sections/models.js';
import { allSection, manifestChapter, publishedChapter, unfinishedChapter } from './sections/runs.js';
import { searchChapter } from './sections/search.js';
import { sizeSection } from './sections/sizes.js';
import { summaryChapter } from './sections/summary.js';
import { trainedChapter } from './sections/trained.js';
import { lossSection } from './sections/losses.js';
import { inspectedSection } from './sections/inspected.js';
import { findingsOf, type DataSet } from './findings.js';
import type { TestTexts } from './test-texts.js';

export { readRuns, type DamagedRun, type FoundRuns } from './gather.js';
export { readTestTexts, type TestTexts } from './test-texts.js';
export type { PublishedChoice, PublishedName } from './published.js';

/** What a report shows beside the runs. */
export interface ReportOptions {
  readonly title?: string;
  /** Which published figures stand beside which tasks; 'auto' by default. */
  readonly published?: PublishedChoice;
  /** As `readTestTexts` reads them: the texts of rows that tell methods apart. Absent: they are told by their numbers alone. */
  readonly texts?: TestTexts;
  /** Runs that `readRuns` could not read: they are listed with their causes. */
  readonly damaged?: readonly DamagedRun[];
}

/** The files of a report, by name. */
export interface ReportFiles {
  readonly markdown: string;
  readonly html: string;
  /** CSV files by name. */
  readonly tables: Readonly<Record<string, string>>;
}

/** A run with a damaged file is listed with its cause among those without a result. */
export function makeReport(stored: readonly StoredRun[], options: ReportOptions = {}): ReportFiles {
  const { runs, damaged } = soundRuns(stored);
  const findings = findingsOf(runs, [...(options.damaged ?? []), ...damaged]);
  const tables: Record<string, string> = {};
  const used = new Set<PublishedName>();
  const context: Context = {
    published: (set) => {
      const name = publishedFor(set, options.published ?? 'auto');
      if (name !== undefined) used.add(name);
      return name;
    },
    texts: ({ points }) => {
      const measurements = points.flatMap((point) => point.measurements);
      return measurements.map(({ run, task }) => options.texts?.(run, task)).find((texts) => texts);
    },
    csv: (name, text) => {
      tables[name] = text;
    },
  };
  const chapters = findings.dataSets.map((set) => dataSetChapter(set, context));
  const titles = [
    ...findings.dataSets.map(({ title }) => title),
    ...findings.trained.map(({ result }) => result.task),
  ];
  const names = [...new Set(titles)].join(', ');
  const report: Report = {
    title: options.title ?? 'Report',
    subtitle: `${count(findings.runs.length + findings.damaged.length, 'run')}${names === '' ? '' : ` on ${names}`}, by Westwind`,
    chapters: [
      summaryChapter(findings, context),
      ...chapters,
      searchChapter(findings, context),
      trainedChapter(findings, context),
      unfinishedChapter(findings),
      publishedChapter(used),
      manifestChapter(findings),
    ].filter((chapter) => chapter !== undefined),
  };
  return { markdown: toMarkdown(report), html: toHtml(report), tables };
}

function dataSetChapter(set: DataSet, context: Context): Chapter {
  const sections = [
    sizeSection(set, context),
    methodSection(set, context),
    modelSection(set, context),
    ablationSection(set, context),
    lossSection(set, context),
    confusionSection(set),
    differencesSection(set, context),
    checksSection(set, context),
    inspectedSection(set),
    allSection(set, context),
  ];
  const text = `${tasks[set.kind].noun}, tested on ${count(set.testRows, 'row')} of ${set.source}.`;
  return {
    id: `task-${set.slug}`,
    title: capital(set.title),
    blocks: [{ type: 'text', text }],
    sections: sections.filter((section) => section !== undefined),
  };
}

/**
 * Writes report.md, report.html and tables/*.csv, all of them or none. Throws UserError where that cannot be, or where other things lie there
 * and `force` is not set.
 */
export function writeReport(
  folder: string,
  { markdown, html, tables }: ReportFiles,
  { force }: Pick<ClaimOptions, 'force'> = {},
): void {
  const out = claimFolder(folder, { force, own: ['report.md', 'report.html', 'tables'] });
  try {
    for (const [name, text] of Object.entries(tables)) out.write(join('tables', name), text);
    out.write('report.md', markdown);
    out.write('report.html', html);
    out.commit();
  } finally {
    out.abort();
  }
}
