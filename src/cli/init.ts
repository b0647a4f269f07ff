/** `westwind init TASK`: a commented configuration to start from. */

import { existsSync } from 'node:fs';
import { Argument } from 'commander';
import { starterConfig } from '../experiments/config/index.js';
import { tasks, type TaskName } from '../tasks/index.js';
import { writeFileAtomic } from '../util/atomic.js';
import { UserError } from '../util/errors.js';
import type { Verb } from './main.js';
import { say, sayLines } from './output.js';

interface Flags {
  readonly out?: string;
  readonly force?: boolean;
}

export const verb: Verb = (command) => {
  command
    .addArgument(new Argument('<task>', 'what the model should learn').choices(Object.keys(tasks)))
    .option('-o, --out <file>', 'where it goes; - prints it (default: TASK.yaml)')
    .option('--force', 'overwrite a file that is there')
    .action((task: TaskName, flags: Flags) => {
      const text = starterConfig(task);
      const path = flags.out ?? `${task}.yaml`;
      if (path === '-') {
        sayLines(text.trimEnd());
        return;
      }
      if (existsSync(path) && !flags.force)
        throw new UserError(
          `${path} is there already: name another file by --out, or overwrite it by --force`,
        );
      writeFileAtomic(path, text);
      say(`wrote ${path}: fill in the model and the data, then: westwind run ${path}`);
    });
};
