/** A model by what names it: a folder, a name on the hub, or a file of another program. */

import { existsSync, statSync } from 'node:fs';
import { resolveModelFolder, type ModelOptions } from '../files/index.js';
import { UserError } from '../util/errors.js';
import { ggufFolder } from './gguf/folder.js';

/**
 * The local folder of a model or adapter: `name` itself where it is a folder, a folder in the cache where it is a GGUF file, else its
 * snapshot from the hub. Throws UserError where it is nowhere, is gated, is damaged, or is not in the cache and the network is away.
 */
export async function resolveModel(name: string, options: ModelOptions = {}): Promise<string> {
  if (!/\.gguf$/i.test(name)) return resolveModelFolder(name, options);
  if (!existsSync(name)) throw new UserError(`${name} does not exist`);
  return statSync(name).isDirectory() ? resolveModelFolder(name, options) : ggufFolder(name);
}
