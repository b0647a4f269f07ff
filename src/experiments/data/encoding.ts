/**
 * Training texts of large files as tokens, kept in the cache by what they are made of: a second run has them, and one that was killed goes
 * on behind the last that it wrote.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
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
import { writeFault } from '../../util/faults.js';
import { hashFiles, SAMPLES } from '../../util/hash-files.js';
import { takeLock } from '../../util/lock.js';
import { describeProgram } from '../../util/program.js';
import { canonicalJson, type ResolvedTask } from '../config/index.js';
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

/** Texts that are encoded together: while some are, the next are read and laid out. */
const TOGETHER = 512;

/** A text for each training row, in their order. */
export async function encodedFile(work: Work, { onEncoded, signal }: Encoding): Promise<EncodedFile> {
  const { data, settings, tokenizer, texts, options } = work;
  const { train, task } = data;
  const folder = join(cacheFolder(), 'encoded', keyOf(work));
  const unlock = await locked(folder, signal);
  try {
    const file = new EncodedFile(folder);
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
    const written = async (texts: Promise<() => void> | undefined): Promise<void> => {
      if (!texts) return;
      (await texts)();
      onEncoded?.(file.length, train.length);
    };
    if (file.length < train.length) onEncoded?.(file.length, train.length);
    let before: Promise<() => void> | undefined;
    for (let first = file.length; first < train.length; first += TOGETHER) {
      throwIfAborted(signal);
      const next = encode(first);
      // Its fault is told when it is its turn.
      next.catch(() => undefined);
      await written(before);
      before = next;
    }
    await written(before);
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

/** All that a text's tokens depend on. */
function keyOf({ data, settings, folder, texts, options }: Work): string {
  const { code, dependencies } = describeProgram();
  const files = data.files.train;
  const names = readdirSync(folder).filter((name) =>
    /token|chat_template|config\.json$|vocab|merges/.test(name),
  );
  const parts = {
    ...{ code, dependencies, texts, length: options.length, packing: settings.training.packing },
    content: hashFiles(files, SAMPLES),
    written: files.map((path) => statSync(path).mtimeMs),
    tokenizer: hashFiles(
      names.sort().map((name) => join(folder, name)),
      Infinity,
    ),
    settings: settings.settings,
    // Where a file stands does not matter.
    sources: JSON.parse(
      JSON.stringify([settings.train, settings.validation], (key, value: unknown) =>
        key === 'path' ? '' : value,
      ),
    ) as unknown,
    rows: createHash('sha256')
      .update(Int32Array.from(data.train, ({ row }) => row))
      .digest('hex'),
  };
  return createHash('sha256').update(canonicalJson(parts)).digest('hex').slice(0, 16);
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
    removeOld(join(folder, '..'));
  } catch (error) {
    throw writeFault(folder, error);
  }
  return () => rmSync(lock, { force: true });
}

/** What nobody has asked for in so long is made again. */
const OLD_MS = 30 * 24 * 3600 * 1000;

function removeOld(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - changed > OLD_MS) rmSync(path, { recursive: true, force: true });
  }
}
