/**
 * Damaged files over every reader: `node --import tsx scripts/fuzz.ts --cases 1000000`. Each must end in success or in a UserError; a
 * crash, a hang of 10 s of a processor, and any other error is a fault, and its file is kept. Exits with 1 where there is one.
 */

import { parseArgs } from 'node:util';
import { fuzz, table } from './fuzz/run.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    /** The first case: with --cases 1 a fault again. */
    from: { type: 'string', default: '0' },
    processes: { type: 'string', default: '2' },
    /** Names of readers with commas between them. */
    only: { type: 'string' },
    keep: { type: 'string', default: 'build/fuzz' },
  },
});

const seen = new Map<string, number>();
const report = await fuzz({
  ...{
    cases: Number(values.cases),
    seed: Number(values.seed),
    from: Number(values.from),
    processes: Number(values.processes),
  },
  ...{ only: values.only?.split(','), keep: values.keep },
  onFault: ({ reader, index, what }) => {
    // The same place again is counted, not told.
    const place = `${reader}: ${what.split('\n').slice(0, 3).join(' ').replace(/\d+/g, '#').slice(0, 300)}`;
    const times = (seen.get(place) ?? 0) + 1;
    seen.set(place, times);
    if (times <= 2)
      process.stdout.write(`case ${index}, ${reader}: ${what.split('\n').slice(0, 6).join('\n')}\n\n`);
  },
});
process.stdout.write(`${table(report)}\n`);
process.exitCode = report.faults.length > 0 ? 1 : 0;
