/** `westwind run CONFIG`: shows a run, or a study of many, while its process computes, and passes Ctrl-C on. */

import { basename } from 'node:path';
import { failedChecks } from '../experiments/checks/failed.js';
import { labelOf, type Study } from '../experiments/config/index.js';
import { resultsTable, type TaskResult } from '../experiments/store/results.js';
import { planStudy, superviseStudy } from '../experiments/run/supervise-study.js';
import { superviseWorker, type Supervision } from '../experiments/run/supervise.js';
import { deviceOption, positiveInteger } from './device.js';
import type { Verb } from './main.js';
import { say, sayLines, warn } from './output.js';
import { createProgress, type Progress } from './progress.js';
import { argumentsText, configArgument, studyOf, type SettingFlags } from './settings.js';
import { axesOf, faultLines, gridText, searchLines, studyChecks, studyTables } from './study-text.js';
import { tableText } from './table.js';

interface Flags extends SettingFlags {
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly failFast?: boolean;
}

export const verb: Verb = (command) => {
  configArgument(command)
    .option('--dry-run', 'show the runs and what they will take, and do nothing')
    .option('--fail-fast', 'end a study with its first run that fails')
    .addOption(deviceOption("compute there instead of on the configuration's device"))
    .option('--threads <n>', 'threads of the cpu backend (default: all cores)', positiveInteger)
    .action(async (configPath: string, flags: Flags) => {
      // Faults in the configuration are told before a process is started for it.
      const study = studyOf(configPath, flags);
      const again = `westwind run ${argumentsText(configPath, flags)}`;
      if (study.axes.length > 0 || flags.dryRun) await runStudy(study, flags, again);
      else await runOne(study, flags, again);
    });
};

async function runOne({ runs }: Study, { threads }: Flags, again: string): Promise<void> {
  const { config } = runs[0]!;
  const every = new Map(config.tasks.map((t) => [t.name, t.training.logging_steps]));
  const progress = createProgress(
    { name: (_, task) => task, every: (_, task) => every.get(task) ?? 10 },
    process.stdout,
  );
  const results: TaskResult[] = [];
  let folder = '';
  let tuning = '';
  const run = superviseWorker({ runs, study: false, threads }, (event) => {
    if (event.type === 'run') ({ folder, tuning } = event);
    if (event.type === 'result') results.push(event.result);
    progress.show(event);
  });
  if (!(await interruptible(run, progress, () => folder, again))) return;
  sayLines(`\n${resultsTable(results, tuning, tableText)}\n`);
  say(artefacts(folder));
  tellChecks(failedChecks(results));
}

/** Checks that failed make the command fail, after everything is done. */
function tellChecks(failed: readonly string[]): void {
  for (const line of failed) say(`check failed: ${line}`);
  if (failed.length > 0) process.exitCode = 1;
}

async function runStudy(study: Study, flags: Flags, again: string): Promise<void> {
  const { runs } = study;
  const plans = await planStudy(study, flags.threads);
  const faults = faultLines(study, plans);
  sayLines(`${gridText(study, plans)}\n`);
  for (const line of faults) warn(line);
  if (flags.dryRun) {
    if (faults.length > 0) process.exitCode = 2;
    return;
  }
  const axes = axesOf(study);
  const progress = createProgress(
    {
      name: (run) => labelOf(runs[run]!, axes),
      // So many runs at a time would fill a log.
      every: (run, _, steps) =>
        Math.max(runs[run]!.config.tasks[0]!.training.logging_steps, Math.ceil(steps / 4)),
      count: runs.length,
    },
    process.stdout,
  );
  const work = superviseStudy(study, flags, (event) => progress.show(event));
  const folder = runs[0]!.config.output_dir;
  if (!(await interruptible(work, progress, () => folder, again))) return;
  const failed = work.states.filter((state) => state.fault !== undefined);
  sayLines(`\n${studyTables(study, work.states)}\n`);
  for (const line of searchLines(study, work.states)) say(line);
  for (const { run, fault } of failed) warn(`${labelOf(run, axes)} failed: ${fault!.split('\n')[0]!}`);
  say(
    `${runs.length - failed.length} of ${runs.length} runs are done, in ${folder}; westwind report ${folder} makes tables and plots of them`,
  );
  tellChecks(studyChecks(study, work.states));
  if (failed.length > 0) {
    warn(`${failed.length} of ${runs.length} runs failed; the same command tries them again`);
    process.exitCode = 2;
  }
}

/** Waits for the work; a first Ctrl-C asks it to save and end, a second ends it. False when it was ended so. */
async function interruptible(
  work: Supervision,
  progress: Progress,
  folder: () => string,
  again: string,
): Promise<boolean> {
  let interrupts = 0;
  const interrupt = (): void => {
    interrupts++;
    if (interrupts > 1) {
      work.kill();
      return;
    }
    progress.say('stopping after the step under way; Ctrl-C again quits at once');
    work.stop();
  };
  const stopped = (how: string): false => {
    say(`${how} is in ${folder()}`);
    say(`go on with: ${again}`);
    process.exitCode = 130;
    return false;
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const outcome = await work.done;
    progress.end();
    return outcome === 'finished' || stopped('stopped; everything done so far');
  } catch (error) {
    progress.end();
    if (interrupts < 2) throw error;
    return stopped('quit; what was saved');
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

/** Where a finished run's files are. */
function artefacts(folder: string): string {
  return `run ${basename(folder)}: adapters, predictions and figures are in ${folder}`;
}
