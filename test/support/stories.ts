/** Folders of random models with the tokenizer of test/golden/stories260K. */
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Backend } from '../../src/backends/contract.js';
import { randomModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';

export const STORIES = resolve(import.meta.dirname, '../golden/stories260K');
/** Its tokens. */
export const STORIES_VOCAB = 512;

/** Writes one to `path`, in float32. */
export async function storiesModel(
  be: Backend,
  path: string,
  config: Record<string, unknown>,
): Promise<string> {
  mkdirSync(path);
  const model = await randomModel(be, { ...config, vocab_size: STORIES_VOCAB }, { dtype: 'f32' });
  await saveModel(model, path, { force: true });
  model.dispose();
  for (const file of readdirSync(STORIES).filter((name) => name.startsWith('tokenizer')))
    copyFileSync(join(STORIES, file), join(path, file));
  return path;
}
