/** `westwind run CONFIG`: shows a run while its process computes, and passes Ctrl-C on. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failedChecks } from '../experiments/checks/figures.js';
import { loadConfig } from '../experiments/config/index.js';
import { resultsTable, type TaskResult } from '../experiments/run/results.js';
import { superviseRun } from '../experiments/run/supervise.js';
import { positiveInteger } from './device.js';
import type { Verb } from './main.js';
import { createProgress } from './progress.js';

export const verb: Verb = (command) => {
  command
    .argument('<config>', 'a YAML or JSON configuration')
    .option('--threads <n>', 'threads of the cpu backend (default: all cores)', positiveInteger)
    .action(async (configPath: string, flags: { threads?: number }) => {
      // Faults in the configuration are told before a process is started for it.
      const { config } = loadConfig(configPath);
      const progress = createProgress(config, process.stdout);
      const results: TaskResult[] = [];
      let folder = '';
      let tuning = '';
      const run = superviseRun({ configPath, threads: flags.threads }, (event) => {
        if (event.type === 'run') ({ folder, tuning } = event);
        if (event.type === 'result') results.push(event.result);
        progress.show(event);
      });
      let interrupts = 0;
      const interrupt = (): void => {
        interrupts++;
        if (interrupts > 1) {
          run.kill();
          return;
        }
        progress.say('stopping after the step under way; Ctrl-C again quits at once');
        run.stop();
      };
      process.on('SIGINT', interrupt);
      process.on('SIGTERM', interrupt);
      try {
        const outcome = await run.done;
        progress.end();
        if (outcome === 'stopped') {
          process.stdout.write(
            `stopped; everything done so far is in ${folder}\ngo on with: westwind run ${configPath}\n`,
          );
          process.exitCode = 130;
          return;
        }
      } catch (error) {
        progress.end();
        if (interrupts < 2) throw error;
        process.stdout.write(
          `quit; what was saved is in ${folder}\ngo on with: westwind run ${configPath}\n`,
        );
        process.exitCode = 130;
        return;
      } finally {
        process.off('SIGINT', interrupt);
        process.off('SIGTERM', interrupt);
      }
      process.stdout.write(`\n${resultsTable(results, tuning)}\n\n${artefacts(folder)}\n`);
      const failed = failedChecks(results);
      for (const line of failed) process.stdout.write(`check failed: ${line}\n`);
      if (failed.length > 0) process.exitCode = 1;
    });
};

/** Where a finished run's files are. */
function artefacts(folder: string): string {
  const { id } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as { id: string };
  return `run ${id}: adapters, predictions and figures are in ${folder}`;
}
