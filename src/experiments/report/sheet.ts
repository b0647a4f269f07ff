/** The tables' figures as CSV: each a line with everything that is known of it, in the same columns for every table. */

import { csvFigure, toCsv, type CsvCell } from './csv.js';
import type { Comparison, Estimate } from './evidence.js';
import { modelOf, trainRows, type DataSet, type Point } from './findings.js';

const HEADS = [
  'task',
  'test_data',
  'model',
  'method',
  'variant',
  'training_rows',
  'figure',
  'value',
  'low',
  'high',
  'deviation',
  'seeds',
  'test_rows',
  'compared_with',
  'difference',
  'difference_low',
  'difference_high',
  'p',
  'p_holm',
  'published',
] as const;

export interface Compared {
  readonly name: string;
  readonly comparison: Comparison;
  readonly pHolm: number;
}

export interface SheetRow {
  readonly set: DataSet;
  readonly point: Point;
  readonly variant: string;
  readonly figure: string;
  readonly estimate: Estimate | undefined;
  /** Absent `pHolm`: it was not corrected. */
  readonly compared?: (Omit<Compared, 'pHolm'> & Partial<Pick<Compared, 'pHolm'>>) | undefined;
  /** Where it is of some of the set's test rows alone. */
  readonly rows?: number | undefined;
  /** In percent, as it was printed. */
  readonly published?: number | undefined;
}

function sheetRow(row: SheetRow): CsvCell[] {
  const { set, point, estimate, compared } = row;
  const { difference, interval, p } = compared?.comparison ?? {};
  return [
    set.task,
    set.source,
    modelOf(point),
    point.way,
    row.variant,
    trainRows(point),
    row.figure,
    csvFigure(estimate?.value),
    csvFigure(estimate?.interval?.low),
    csvFigure(estimate?.interval?.high),
    csvFigure(estimate?.deviation),
    estimate?.seeds,
    row.rows ?? set.testRows,
    compared?.name,
    csvFigure(difference),
    csvFigure(interval?.low),
    csvFigure(interval?.high),
    csvFigure(p),
    csvFigure(compared?.pHolm),
    csvFigure(row.published === undefined ? undefined : row.published / 100),
  ];
}

export function sheet(rows: readonly SheetRow[]): string {
  return toCsv(HEADS, rows.map(sheetRow));
}
