/** Who reads an exported file: a program that shares no code with what wrote it, where one is there, else ours. */

import { availableParallelism } from 'node:os';
import type { Backend } from '../../backends/contract.js';
import { ggufFolder } from '../../import/gguf/folder.js';
import { loadModel } from '../../models/load.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { version } from '../../util/version.js';
import { nodeLlamaCpp, openLlamaCpp } from './llama-cpp.js';
import { readerOfModel, readerOfProgram, type Reader } from './reader.js';

/** What a reader is asked for. */
export interface ReaderOrder {
  /** The exported file, or its folder. */
  readonly path: string;
  /** Tokens of the longest text. */
  readonly context: number;
  /** Whether the model has an encoder, which no other program runs here. */
  readonly encoder: boolean;
  readonly backend: Backend;
  /** Whether what was evaluated ran in bf16 precision: ours then does, too. */
  readonly bf16: boolean;
  readonly threads: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Rejects with a UserError where the file cannot be read. */
export type OpenReader = (order: ReaderOrder) => Promise<Reader>;

/**
 * GGUF: by llama.cpp where it is installed. By default it has half of the processors: its threads wait for each other without rest, and where
 * something else takes one of theirs, they hardly come on.
 */
export const openGguf: OpenReader = async (order) => {
  const { path, context, encoder, backend, threads, signal } = order;
  const library = encoder ? undefined : nodeLlamaCpp();
  // Whatever the file is called.
  if (!library) return openOwn({ ...order, path: ggufFolder(path) });
  const gpu = backend.name === 'cuda';
  const start = { path, context, gpu, threads: threads ?? Math.max(1, availableParallelism() >> 1) };
  return readerOfProgram(await openLlamaCpp(library, start, signal));
};

/** A model folder. */
export const openOwn: OpenReader = async ({ path, backend, bf16, signal }) => {
  const tokenizer = Tokenizer.load(path);
  const model = await loadModel(backend, path);
  const about = { name: 'Westwind', version: version(), independent: false };
  const reader = readerOfModel(model, about, { bf16, signal, dispose: () => model.dispose() });
  return {
    ...reader,
    cut: ({ text, special }) => Promise.resolve(tokenizer.encode(text, { addSpecialTokens: special })),
  };
};
