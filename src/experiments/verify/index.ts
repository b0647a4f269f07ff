/** Finds out what a folder or file of golden data is, and checks it. */

import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import { UserError } from '../../util/errors.js';
import { verifyChat } from './chat.js';
import type { Check } from './check.js';
import { verifyModel } from './model.js';
import { verifyNf4 } from './nf4.js';
import { verifyStories } from './stories.js';
import { verifyText } from './text.js';

/**
 * Compares the program with what a golden folder (or file) holds; each check as it is made. Throws UserError for a folder of no known
 * kind.
 */
export async function* verifyFolder(backend: Backend, path: string): AsyncGenerator<Check> {
  const subject = basename(path);
  const has = (name: string): boolean => existsSync(join(path, name));
  if (!existsSync(path)) throw new UserError(`${path} does not exist`);
  if (path.endsWith('.safetensors')) yield* verifyNf4(backend, path, basename(path, '.safetensors'));
  else if (has('golden.safetensors') && has('golden.json')) yield* verifyModel(backend, path, subject);
  else if (has('reference_logits.json')) yield* verifyStories(backend, path, subject);
  else if (has('rouge.json')) yield* verifyText(path);
  else if (has('chat.json')) yield* verifyChat(path);
  else {
    throw new UserError(
      `${path} is no golden data: a folder with golden.json and golden.safetensors, one with reference_logits.json, rouge.json or chat.json, ` +
        'or a file with NF4 weights is wanted',
    );
  }
}
