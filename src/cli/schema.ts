/** `westwind schema`: the configuration's JSON Schema. */

import { jsonSchema } from '../experiments/config/index.js';
import type { Verb } from './main.js';

export const verb: Verb = (command) => {
  command.action(() => void process.stdout.write(JSON.stringify(jsonSchema(), null, 2) + '\n'));
};
