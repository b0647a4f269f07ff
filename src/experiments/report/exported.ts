/** Exported files that were run again on test rows: their certificates, beside the points whose training they are of. */

import type { Certificate } from '../store/certificate.js';
import { readCertificates } from '../store/stored.js';
import { count } from './document.js';
import type { Estimate } from './evidence.js';
import type { Point } from './findings.js';

export interface ExportedPoint {
  readonly point: Point;
  readonly name: string;
  readonly certificate: Certificate;
}

/** In the points' order, by seed and by the name of the certificate's file. */
export function exportedOf(points: readonly Point[], names: ReadonlyMap<Point, string>): ExportedPoint[] {
  return points
    .filter(({ method }) => method === 'tuned')
    .flatMap((point) =>
      point.measurements.flatMap(({ run, result, seed }) =>
        readCertificates(run, result.task).map((certificate) => {
          const which = point.measurements.length > 1 ? `, seed ${seed}` : '';
          const { format, type } = certificate.file;
          const name = `${names.get(point)!}${which}, exported (${format} ${type})`;
          return { point, name, certificate };
        }),
      ),
    );
}

/** A figure of the exported file; undefined where it has none of that name. */
export function exportedEstimate({ certificate }: ExportedPoint, name: string): Estimate | undefined {
  const { metrics, intervals } = certificate.exported_answers;
  const [value, interval] = [metrics[name], intervals[name]];
  return value === undefined ? undefined : { value, seeds: 1, ...(interval && { interval }) };
}

/** What stands below a table with exported files; '' where there are none. */
export function exportedNote(exported: readonly ExportedPoint[]): string {
  if (exported.length === 0) return '';
  const sizes = [...new Set(exported.map(({ certificate }) => certificate.certified_rows))];
  const readers = [
    ...new Set(exported.map(({ certificate: { reader } }) => `${reader.name} ${reader.version}`)),
  ];
  return (
    `Exported files were run on ${sizes.map((n) => count(n, 'test row')).join(', ')} (by ${readers.join('; ')}); ` +
    "their differences are from the run's own answers to these rows, with p of the paired test, not corrected. "
  );
}
