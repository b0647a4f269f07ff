/** `westwind rm RUN...`: removes runs' folders, after asking. */

import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { join } from 'node:path';
import { readRuns } from '../experiments/report/gather.js';
import { RUN_FILES } from '../experiments/store/layout.js';
import { UserError } from '../util/errors.js';
import { lockHolder } from '../util/lock.js';
import type { Verb } from './main.js';
import { say } from './output.js';
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
      const folders = [...new Set(names.map((name) => runFolderOf(name, dir)))];
      const { runs, damaged } = readRuns(folders);
      const busy = folders.find((folder) => lockHolder(join(folder, RUN_FILES.lock)) !== undefined);
      if (busy !== undefined) throw new UserError(`${busy} is being worked on: stop it first`);
      for (const { folder, state, manifest } of runs) {
        const tasks = manifest.config.tasks.map(({ name }) => name).join(', ');
        say(`${folder} (${state}; ${tasks}; started ${manifest.started.slice(0, 16).replace('T', ' ')})`);
      }
      for (const { folder, failure } of damaged) say(`${folder} (damaged; ${failure})`);
      if (!yes && !(await confirmed(folders.length))) {
        say('nothing was removed');
        process.exitCode = 1;
        return;
      }
      for (const folder of folders) rmSync(folder, { recursive: true });
      say(`removed ${folders.length} run${folders.length === 1 ? '' : 's'}`);
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
