/** `westwind doctor`: what this machine offers, and what is missing with the way to mend it. */

import { describeMachine } from '../experiments/machine.js';
import type { Verb } from './main.js';

export const verb: Verb = (command) => {
  command.option('--json', 'as JSON').action(async (flags: { json?: boolean }) => {
    const found = await describeMachine();
    if (flags.json) process.stdout.write(JSON.stringify(found, null, 2) + '\n');
    else
      for (const [name, value] of Object.entries(found))
        process.stdout.write(`${name.padEnd(10)} ${value}\n`);
  });
};
