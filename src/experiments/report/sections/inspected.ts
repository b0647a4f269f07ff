/** What each method was trained on, token by token. */

import { readInspected } from '../../store/stored.js';
import { count, type ReportBlock, type Section } from '../document.js';
import type { DataSet, Measurement } from '../findings.js';

const SHOWN_ROWS = 3;
const SHOWN_TOKENS = 400;

/** Some training rows as tokens, of the first tuned run that kept them. */
export function inspectedSection(set: DataSet): Section | undefined {
  const tuned = set.points.filter(({ method }) => method === 'tuned');
  const blocks = inspectedBlocks(tuned.flatMap(({ measurements }) => measurements));
  return blocks.length === 0
    ? undefined
    : { id: `inspected-${set.slug}`, title: 'What was trained on', blocks };
}

/** The same of any trainings, the first of them that kept some; nothing where none did. */
export function inspectedBlocks(of: readonly Pick<Measurement, 'run' | 'result'>[]): ReportBlock[] {
  const kept = of.find((one) => readInspected(one.run, one.result.task) !== undefined);
  if (!kept) return [];
  const rows = readInspected(kept.run, kept.result.task)!;
  const blocks = rows
    .slice(0, SHOWN_ROWS)
    .flatMap(({ row, source, shortened, trained, tokens }): ReportBlock[] => [
      {
        type: 'note',
        text: `Row ${row + 1}${source === undefined ? '' : ` of ${source}`}: ${count(tokens.length, 'token')}, ${trained} of them trained on${shortened ? '; its text was shortened' : ''}${tokens.length > SHOWN_TOKENS ? `; the last ${SHOWN_TOKENS} are shown` : ''}.`,
      },
      {
        type: 'tokens',
        tokens: tokens.slice(-SHOWN_TOKENS).map((token) => ({ text: token.text, trained: token.trained })),
      },
    ]);
  if (blocks.length === 0) return [];
  const text = `Training rows of run ${kept.run.id}, token by token; the loss is taken on the marked ones.`;
  return [{ type: 'text', text }, ...blocks];
}
