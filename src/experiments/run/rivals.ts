/**
 * The trials that may stop a trial of a search: those before it, by what their evaluations came to. A decision stands in the trial's folder,
 * so that a run that goes on has the same, whatever became of the others since.
 */

import { dirname, join } from 'node:path';
import { isRung, standingOf } from '../../train/halving.js';
import { UserError } from '../../util/errors.js';
import { lockHolder } from '../../util/lock.js';
import { searchMetric, trialsBefore, type LoadedConfig } from '../config/index.js';
import type { Fingerprinting } from '../store/fingerprints.js';
import { runPath } from '../store/folder.js';
import { RUN_FILES, TASK_FILES } from '../store/layout.js';
import { figureOf, type LoggedRung } from '../store/steps.js';
import type { WorkerOrder } from './supervise.js';
import type { Shared, Unit } from './unit.js';

/**
 * The folders of the runs that may stop one; of those whose files are gone there are none.
 * @throws UserError where it stands alone, without its search
 */
export async function rivalFolders(
  { config, source }: LoadedConfig,
  { runs, others = [], study }: WorkerOrder,
  fingerprints: Pick<Fingerprinting, 'of'>,
): Promise<string[]> {
  const { search, tasks } = config;
  if (!search?.halving || !tasks.some(({ tune }) => tune)) return [];
  if (!study)
    throw new UserError(
      `${source.path} is trial ${search.trial} of a search, which the trials before it may stop: ` +
        "run the search's own configuration, or leave search out",
    );
  const folders: string[] = [];
  for (const rival of trialsBefore(config, [...runs, ...others]))
    try {
      folders.push(runPath(rival, await fingerprints.of(rival)));
    } catch (error) {
      // It is told where that one is opened.
      if (!(error instanceof UserError)) throw error;
    }
  return folders;
}

/**
 * Whether a training ends behind its evaluation of this number, from 1: what its trainer asks. Undefined for one that no search stops.
 * @param isUnderWay whether a rival, by its folder, is trained beside it and may come further
 */
export function rivalry(
  { emit }: Pick<Shared, 'emit'>,
  { run, config, settings, folder, rivals }: Pick<Unit, 'run' | 'config' | 'settings' | 'folder' | 'rivals'>,
  isUnderWay: (rival: string) => boolean,
): ((evaluation: number) => boolean | 'later') | undefined {
  const { search } = config;
  if (!search?.halving) return undefined;
  const about = { ...search.halving, ...searchMetric(search, settings.training)! };
  const { metric } = about;
  const decide = (evaluation: number): LoggedRung | 'later' => {
    for (const rival of rivals) checkIdle(dirname(rival));
    const [own, ...before] = [folder, ...rivals].map((of) => TASK_FILES.evaluations.read(of)[evaluation - 1]);
    if (!own)
      throw new UserError(
        `${TASK_FILES.evaluations.in(folder)} lacks evaluation ${evaluation}: remove ${folder}, and it is trained again`,
      );
    if (before.some((one, i) => !one && isUnderWay(rivals[i]!))) return 'later';
    const figure = figureOf(own, metric);
    const figures = before.flatMap((one) => (one ? [figureOf(one, metric)] : []));
    const standing = standingOf(figure, figures, about);
    return { evaluation, step: own.step, metric, figure, ...standing };
  };
  return (evaluation) => {
    if (!isRung(evaluation, about)) return false;
    const known = TASK_FILES.rungs.read(folder).find((rung) => rung.evaluation === evaluation);
    const rung = known ?? decide(evaluation);
    if (rung === 'later') return rung;
    if (!known) TASK_FILES.rungs.writer(folder).append(rung);
    if (rung.stop) emit({ type: 'notice', run, task: settings.name, text: stopText(search.trial, rung) });
    return rung.stop;
  };
}

/** Another program's trial may yet come to where this one is. Throws UserError. */
function checkIdle(run: string): void {
  const holder = lockHolder(join(run, RUN_FILES.lock));
  if (holder === undefined || holder === process.pid) return;
  throw new UserError(
    `${run} is a trial before this one, and process ${holder} is working on it: run the search again when that has ended`,
  );
}

/** 'trial 5 stops behind step 20: loss 2.5031, and 2.4012 goes on (5 tried)' */
function stopText(trial: number, { step, metric, figure, cutoff, tried }: LoggedRung): string {
  const better = cutoff === undefined ? '' : `, and ${cutoff.toFixed(4)} goes on`;
  return `trial ${trial} stops behind step ${step}: ${metric} ${figure.toFixed(4)}${better} (${tried} tried)`;
}
