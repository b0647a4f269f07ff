/** `westwind rm RUN...`: removes runs' folders, after asking. */

import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { readRun } from '../experiments/run/stored.js';
import { UserError } from '../util/errors.js';
import type { Verb } from './main.js';
import { runFolderOf } from './runs.js';

interface Flags {
  readonly runs: string;
  readonly yes?: boolean;
}

export const verb: Verb = (command) => {
  command
    .argument('<run...>', "runs' folders, or beginnings of their ids")
    .option('--runs <dir>', 'where ids are looked for', 'runs')
    .option('-y, --yes', 'do not ask')
    .action(async (names: string[], { runs: dir, yes }: Flags) => {
      const runs = [...new Set(names.map((name) => runFolderOf(name, dir)))].map(readRun);
      const busy = runs.find(({ state }) => state === 'running');
      if (busy) throw new UserError(`${busy.folder} is being worked on: stop it first`);
      for (const { folder, state, manifest } of runs) {
        const tasks = manifest.config.tasks.map(({ name }) => name).join(', ');
        process.stdout.write(
          `${folder} (${state}; ${tasks}; started ${manifest.started.slice(0, 16).replace('T', ' ')})\n`,
        );
      }
      if (!yes && !(await confirmed(runs.length))) {
        process.stdout.write('nothing was removed\n');
        process.exitCode = 1;
        return;
      }
      for (const { folder } of runs) rmSync(folder, { recursive: true });
      process.stdout.write(`removed ${runs.length} run${runs.length === 1 ? '' : 's'}\n`);
    });
};

async function confirmed(count: number): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UserError('nobody is there to be asked: say --yes to remove them');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(
      `remove ${count === 1 ? 'it' : `these ${count} runs`} for good? [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
