/** What a run's process does when only a plan is wanted: the device is opened for its memory and rates, and closed with the process. */

import { createBackend } from '../../backends/select.js';
import { UserError } from '../../util/errors.js';
import { Planner, sumOf, type RunForecast } from '../plan/index.js';
import { measureRates, secondsOf } from '../plan/rates.js';
import type { RunEvent } from './events.js';
import type { WorkerOrder } from './supervise.js';

export async function planJob(
  { runs, threads }: WorkerOrder,
  emit: (event: RunEvent) => void,
  signal: AbortSignal,
): Promise<'finished' | 'stopped'> {
  const { backend } = await createBackend(runs[0]!.config.device, threads === undefined ? {} : { threads });
  const room = backend.available();
  const rates = await measureRates(backend);
  const planner = new Planner(backend, room, (task, done, total) =>
    emit({ type: 'encoding', task, done, total }),
  );
  const plans: RunForecast[] = [];
  for (const { config } of runs) {
    if (signal.aborted) return 'stopped';
    try {
      const plan = sumOf(await planner.plan(config), room);
      plans.push({ ...plan, seconds: secondsOf(plan.work, rates) });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      plans.push({ fault: error.message });
    }
  }
  emit({ type: 'plan', device: backend.name, room, plans });
  return 'finished';
}
