/**
 * A process that reads damaged files. The number of the case under way stands in a file, so that whoever watches knows what a crash or a
 * hang was about; the case is made again from that number.
 */

import { openSync, writeSync } from 'node:fs';
import { createBackend } from '../../src/backends/select.js';
import { Cases, type Outcome } from './cases.js';

export interface Order {
  readonly seed: number;
  readonly seeds: string;
  readonly own: string;
  readonly progress: string;
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly only?: readonly string[] | undefined;
}

export type Message =
  | {
      readonly type: 'counts';
      readonly counts: Readonly<Record<string, Record<Exclude<Outcome, 'fault'>, number>>>;
    }
  | { readonly type: 'fault'; readonly index: number; readonly reader: string; readonly stack: string }
  | { readonly type: 'end' };

async function work({ seed, seeds, own, progress, from, to, step, only }: Order): Promise<void> {
  const { backend } = await createBackend('reference');
  const cases = await Cases.open(backend, seed, seeds, own, only);
  const file = openSync(progress, 'w');
  const mark = Buffer.alloc(8);
  const send = (message: Message): Promise<void> =>
    new Promise((done) => process.send!(message, undefined, undefined, () => done()));
  let counts: Record<string, Record<'ok' | 'refused', number>> = {};
  let count = 0;
  for (let index = from; index < to; index += step) {
    mark.writeDoubleLE(index);
    writeSync(file, mark, 0, 8, 0);
    const { reader, outcome, stack } = await cases.run(index);
    if (outcome === 'fault') await send({ type: 'fault', index, reader, stack: stack! });
    else (counts[reader] ??= { ok: 0, refused: 0 })[outcome]++;
    if (++count % 50 === 0) {
      await send({ type: 'counts', counts });
      counts = {};
    }
  }
  await send({ type: 'counts', counts });
  await send({ type: 'end' });
  process.exit(0);
}

process.on('message', (order) => {
  work(order as Order).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(1));
