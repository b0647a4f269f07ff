/** The process that computes runs: see supervise.ts. */

import { messageOf, UserError } from '../../util/errors.js';
import { systemFault } from '../../util/faults.js';
import type { RunEvent } from './events.js';
import { runJob } from './job.js';
import { planJob } from './plan-job.js';
import type { WorkerOrder } from './supervise.js';

const stop = new AbortController();

function send(event: RunEvent): void {
  // The other end may be gone; then nobody is left to tell.
  if (process.connected) process.send!(event, undefined, undefined, () => undefined);
}

// Ctrl-C reaches the whole group; the parent decides what it means.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => stop.abort());
process.on('message', (message) => {
  if (message === 'stop') stop.abort();
  else void work(message as WorkerOrder);
});

async function work(order: WorkerOrder): Promise<void> {
  try {
    const outcome = await (order.plan ? planJob : runJob)(order, send, stop.signal);
    send({ type: 'end', outcome });
  } catch (thrown) {
    const error = systemFault(thrown);
    const stack = error instanceof UserError || !(error instanceof Error) ? undefined : error.stack;
    send({ type: 'failed', message: messageOf(error), stack });
    process.exitCode = 1;
  }
  // Lets the last event through before the channel closes.
  if (process.connected) process.disconnect();
}
