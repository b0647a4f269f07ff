/**
 * A GGUF file as a model folder: config.json, the tokenizer's files and the card, made of its keys, beside a link to the file, of which
 * weights are read tensor by tensor (`src/models/gguf-weights.ts`). The folder is kept in the cache for as long as the file is the same.
 */

import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { GGUF_WEIGHTS, GgufFile, type TensorType } from '../../files/index.js';
import { configOfGguf, familyOf } from '../../models/families/index.js';
import { cacheFolder } from '../../util/environment.js';
import { UserError } from '../../util/errors.js';
import { writeFault } from '../../util/faults.js';
import { version } from '../../util/version.js';
import { ggufTokenizerFiles } from './tokenizer.js';

/** Throws UserError for a file that is damaged, or whose model or tokenizer is not read. */
export function ggufFolder(file: string): string {
  const path = realpathSync(file);
  const { size, mtimeNs } = statSync(path, { bigint: true });
  const key = createHash('sha256')
    .update([path, size, mtimeNs, version()].join('\n'))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder(), 'gguf', key);
  if (existsSync(folder)) return folder;
  const files = filesOf(path);
  try {
    mkdirSync(dirname(folder), { recursive: true });
    const made = mkdtempSync(`${folder}.`);
    try {
      for (const [name, text] of files) writeFileSync(join(made, name), text);
      link(path, join(made, GGUF_WEIGHTS));
      renameSync(made, folder);
    } catch (error) {
      rmSync(made, { recursive: true, force: true });
      // Another process was here first.
      if (!existsSync(folder)) throw error;
    }
  } catch (error) {
    throw writeFault(folder, error);
  }
  return folder;
}

/** Systems that keep symbolic links from people have others. */
function link(path: string, at: string): void {
  try {
    symlinkSync(path, at);
  } catch {
    linkSync(path, at);
  }
}

/** Names and contents. */
function filesOf(path: string): [string, string][] {
  const file = GgufFile.open(path);
  try {
    refuseParts(file);
    const config = configOfGguf(file);
    const { files, ids } = ggufTokenizerFiles(file, config['vocab_size'] as number, contextOf(config, path));
    const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
    const card = cardOf(file);
    return [
      ['config.json', json({ ...config, ...ids, torch_dtype: TORCH_TYPES[mostOf(file)] ?? 'float32' })],
      ...files,
      ...(card === undefined ? [] : [['README.md', card] as [string, string]]),
    ];
  } finally {
    file.close();
  }
}

function contextOf(config: Readonly<Record<string, unknown>>, path: string): number {
  return familyOf(config, path).contextLength(config, path);
}

function refuseParts(file: GgufFile): void {
  const parts = Number(file.metadata.get('split.count')?.value ?? 1);
  if (parts > 1)
    throw new UserError(
      `${file.path}: it is one of ${parts} parts, which are not read: join them by 'llama-gguf-split --merge'`,
    );
  const type = file.metadata.get('general.type')?.value ?? 'model';
  if (type !== 'model')
    throw new UserError(
      `${file.path}: it holds a model's ${String(type)}, not a model: give the model's own file`,
    );
}

const TORCH_TYPES: Partial<Readonly<Record<TensorType, string>>> = { F16: 'float16', BF16: 'bfloat16' };

/** The type that most bytes have. */
function mostOf(file: GgufFile): TensorType {
  const bytes = new Map<TensorType, number>();
  for (const { type, byteLength } of file.tensors.values())
    bytes.set(type, (bytes.get(type) ?? 0) + byteLength);
  return [...bytes].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}

/** The head of a README.md, of what a file says of its model. */
function cardOf({ metadata }: GgufFile): string | undefined {
  const fields = { license: 'license', tags: 'tags', language: 'languages' };
  const card = Object.entries(fields).flatMap(([field, key]) => {
    const value = metadata.get(`general.${key}`)?.value;
    return value === undefined ? [] : [[field, value] as const];
  });
  return card.length === 0 ? undefined : `---\n${stringify(Object.fromEntries(card))}---\n`;
}
