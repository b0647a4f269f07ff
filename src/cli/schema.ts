/** `westwind schema`: the configuration's JSON Schema. */

import { jsonSchema } from '../experiments/config/index.js';
import type { Verb } from './main.js';
import { sayJson } from './output.js';

export const verb: Verb = (command) => {
  command.action(() => sayJson(jsonSchema(), 2));
};
