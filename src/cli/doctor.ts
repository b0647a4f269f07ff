/** `westwind doctor`: what this machine offers, and what is missing with the way to mend it. */

import { describeMachine } from '../experiments/bench/machine.js';
import type { Verb } from './main.js';
import { say, sayJson } from './output.js';

export const verb: Verb = (command) => {
  command.option('--json', 'as JSON').action(async (flags: { json?: boolean }) => {
    const found = await describeMachine();
    if (flags.json) sayJson(found, 2);
    else for (const [name, value] of Object.entries(found)) say(`${name.padEnd(10)} ${value}`);
  });
};
