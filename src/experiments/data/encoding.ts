/**
 * Training texts of large files as tokens, kept in the cache by what they are made of: a second run has them, and one that was killed goes
 * on behind the last that it wrote.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EncodedFile } from '../../data/encoded.js';
import { checkTrained, truncated, type ConcatOptions } from '../../data/packing.js';
import {
  encodedExamples,
  type TokenizerLike,
  type TrainingExample,
  type TrainingTextOptions,
} from '../../tasks/index.js';
import { throwIfAborted } from '../../util/abort.js';
import { cacheFolder } from '../../util/environment.js';
import { UserError } from '../../util/errors.js';
import { writeFault } from '../../util/faults.js';
import { hashFiles, hashing } from '../../util/hash-files.js';
import { lockHolder, takeLock } from '../../util/lock.js';
import { changed, stampAt } from '../../util/places.js';
import { describeProgram } from '../../util/program.js';
import { abortable } from '../../util/turns.js';
import { tokenizerFiles } from '../../tokenizer/index.js';
import { canonicalJson, type ResolvedTask } from '../config/index.js';
import { SPLIT_NAMES } from '../config/splits.js';
import type { TaskData } from './task-data.js';

/** Who is told how far it is, and what ends it with an AbortError. */
export interface Encoding {
  readonly onEncoded?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is to be encoded, and how. */
interface Work {
  readonly data: TaskData;
  readonly settings: ResolvedTask;
  readonly tokenizer: TokenizerLike;
  /** Of the tokenizer's files. */
  readonly folder: string;
  readonly texts: TrainingTextOptions;
  readonly options: ConcatOptions;
}

/** Texts that are encoded together. More would not be quicker, for a round of the engine's has no more, and all that is made of them is in memory. */
const TOGETHER = 128;

/** Of those so many at once: while some are encoded, others are laid out, and others, which were too long, are asked for again. */
const AT_ONCE = 3;

/** A text for each training row, in their order. */
export async function encodedFile(work: Work, { onEncoded, signal }: Encoding): Promise<EncodedFile> {
  const { data, settings, tokenizer, texts, options } = work;
  const { train, task } = data;
  const folder = join(cacheFolder(), 'encoded', await keyOf(work, signal));
  const unlock = await locked(folder, signal);
  try {
    const file = new EncodedFile(folder, train.length);
    await abortable(signal, file.mended());
    const numbers = sourceNumbers(data);
    const check = (example: TrainingExample | undefined): void => {
      if (!example) return;
      if (settings.training.packing === 'concat') checkTrained(example, example, 0, options);
      else truncated(example, options);
    };
    const encode = async (first: number): Promise<() => void> => {
      const samples = train.slice(first, first + TOGETHER);
      const found = await encodedExamples(task, samples, tokenizer, texts);
      const examples = found.map((one, i) => one && { ...one, source: numbers(samples[i]!) });
      return () => {
        examples.forEach(check);
        file.append(
          examples,
          samples.map(({ row }) => row),
        );
      };
    };
    const written = async (texts: Promise<() => void>): Promise<void> => {
      (await texts)();
      onEncoded?.(file.length, train.length);
    };
    if (file.length < train.length) onEncoded?.(file.length, train.length);
    const under: Promise<() => void>[] = [];
    for (let first = file.length; first < train.length; first += TOGETHER) {
      throwIfAborted(signal);
      const next = encode(first);
      // Its fault is told when it is its turn.
      next.catch(() => undefined);
      under.push(next);
      if (under.length === AT_ONCE) await written(under.shift()!);
    }
    for (const texts of under) await written(texts);
    await file.end();
    return file;
  } finally {
    unlock();
  }
}

/** Of a sample of a mixture the number of its source. */
export function sourceNumbers({
  sources,
}: TaskData): (sample: TaskData['train'][number]) => number | undefined {
  const numbers = new Map(sources.map((name, i) => [name, i]));
  return ({ source }) => source && numbers.get(source.name);
}

/** All that a text's tokens depend on. Throws UserError for files that are no longer those that were read. */
async function keyOf(work: Work, signal: AbortSignal | undefined): Promise<string> {
  const { data, settings, folder, texts, options } = work;
  const { code, dependencies } = describeProgram();
  const contents = new Map<string, string>();
  for (const path of data.stamps.keys()) contents.set(path, await contentOf(path, signal));
  for (const [path, stamp] of data.stamps) if (stampAt(path) !== stamp) throw changed(path);
  const parts = {
    ...{ code, dependencies, texts, length: options.length, packing: settings.training.packing },
    content: data.files.train.map((path) => contents.get(path)),
    // Labels go by all training rows, and how answers end by all there are.
    others: [...contents.values()],
    tokenizer: hashFiles(tokenizerFiles(folder), Infinity),
    settings: settings.settings,
    // Where a file stands does not matter.
    sources: JSON.parse(
      JSON.stringify(
        SPLIT_NAMES.map((split) => settings[split] ?? null),
        (key, value: unknown) => (key === 'path' ? '' : value),
      ),
    ) as unknown,
    rows: createHash('sha256')
      .update(Int32Array.from(data.train, ({ row }) => row))
      .digest('hex'),
  };
  return createHash('sha256').update(canonicalJson(parts)).digest('hex').slice(0, 16);
}

/** By path and stamp: all runs of a process ask for the same files. */
const CONTENTS = new Map<string, string>();

async function contentOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const key = `${path} ${stampAt(path)}`;
  const content = CONTENTS.get(key) ?? (await abortable(signal, hashing([path], Infinity)));
  CONTENTS.set(key, content);
  return content;
}

/** How often it is looked whether another process is done with a folder. */
const LOOK_MS = 500;

/** Takes the folder, which others leave alone until what is returned is called; waits for one that has it. */
async function locked(folder: string, signal: AbortSignal | undefined): Promise<() => void> {
  const lock = `${folder}.lock`;
  try {
    mkdirSync(folder, { recursive: true });
    while (takeLock(lock) !== undefined) {
      throwIfAborted(signal);
      await sleep(LOOK_MS);
    }
    const now = new Date();
    utimesSync(folder, now, now);
    removeOld(dirname(folder));
  } catch (error) {
    const fault = writeFault(folder, error);
    if (!(fault instanceof UserError)) throw fault;
    throw new UserError(`${fault.message} (encoded texts are kept in WESTWIND_CACHE)`);
  }
  return () => rmSync(lock, { force: true });
}

/** What nobody has asked for in so long is made again. */
const OLD_MS = 30 * 24 * 3600 * 1000;

function removeOld(cache: string): void {
  for (const name of readdirSync(cache)) {
    const folder = join(cache, name);
    const lock = `${folder}.lock`;
    const changed = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    // Locks go with what they were for.
    if (Date.now() - changed < OLD_MS || lockHolder(lock) !== undefined || lockHolder(folder) !== undefined)
      continue;
    rmSync(folder, { recursive: true, force: true });
  }
}
