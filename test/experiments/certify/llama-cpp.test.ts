/** The process in which node-llama-cpp reads a file, with packages that behave as that one may. `test-shared/export` has the real one. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { nodeLlamaCpp, openLlamaCpp } from '../../../src/experiments/certify/llama-cpp.js';
import type { Program } from '../../../src/experiments/certify/reader.js';
import { UserError } from '../../../src/util/errors.js';
import { temporaryFolder } from '../../cli/support.js';

/** A package that counts: behind a token stands the next one, of 8. `odd`: what it does when it has loaded a file. */
function packageThat(odd = ''): string {
  const folder = temporaryFolder();
  const own = join(folder, 'node_modules/node-llama-cpp');
  mkdirSync(own, { recursive: true });
  const about = { name: 'node-llama-cpp', version: '3.0.0', type: 'module', exports: './index.js' };
  writeFileSync(join(own, 'package.json'), JSON.stringify(about));
  writeFileSync(
    join(own, 'index.js'),
    `const next = (id) => new Map(Array.from({ length: 8 }, (_, t) => [t, t === (id + 1) % 8 ? 0.3 : 0.1]));
     let state = [];
     const sequence = {
       get nextTokenIndex() { return state.length; },
       clearHistory: async () => { state = []; },
       adaptStateToTokens: async (ids) => { let n = 0; while (n < ids.length && ids[n] === state[n]) n++; state = state.slice(0, n); },
       async *evaluate(ids) { for (let id = ids.at(-1);;) yield (id = (id + 1) % 8); },
       controlledEvaluate: async (input) => input.map((one) => {
         const [id, wants] = Array.isArray(one) ? one : [one];
         if (id === 7) process.abort();
         state.push(id);
         return wants && { next: { probabilities: next(id) } };
       }),
     };
     const model = {
       tokens: { bos: 0, eos: 7, shouldPrependBosToken: true, shouldAppendEosToken: false },
       tokenize: (text, special) => [...text].map((c) => (special ? 1 : 2) + c.charCodeAt(0) - 97),
     };
     export const getLlama = async () => ({
       gpu: false,
       llamaCppRelease: { release: 'b1' },
       loadModel: async () => { ${odd}; return { ...model, createContext: async () => ({ getSequence: () => sequence }) }; },
     });`,
  );
  return folder;
}

/** As the environment has it while `work` is done. */
function withFolder<T>(folder: string, work: () => T): T {
  process.env['WESTWIND_LLAMA_CPP'] = folder;
  try {
    return work();
  } finally {
    delete process.env['WESTWIND_LLAMA_CPP'];
  }
}

const open = (folder: string, signal?: AbortSignal): Promise<Program> =>
  openLlamaCpp(
    withFolder(folder, nodeLlamaCpp)!,
    { path: 'a.gguf', context: 64, gpu: false, threads: 1 },
    signal,
  );

async function probabilities(
  program: Program,
  ids: readonly number[],
  places: readonly number[],
): Promise<number[]> {
  const likeliest: number[] = [];
  for await (const one of program.probabilities(ids, places)) {
    assert.ok(Math.abs(Math.max(...one) - Math.log(0.3)) < 1e-6);
    likeliest.push(one.indexOf(Math.max(...one)));
  }
  return likeliest;
}

describe('llama.cpp in a process of its own', () => {
  it('says who it is, writes greedily, and tells probabilities of places, order after order', async () => {
    const program = await open(packageThat());
    assert.deepEqual(program.about, {
      ...{ name: 'llama.cpp', version: 'b1, node-llama-cpp 3.0.0, cpu', independent: true },
    });
    assert.deepEqual(await program.greedy([1, 2], 3, []), [3, 4, 5]);
    assert.deepEqual(await program.greedy([1, 2], 30, [4]), [3, 4]);
    assert.deepEqual(await probabilities(program, [1, 2, 3, 4], [1, 3]), [2, 4]);
    assert.deepEqual(await probabilities(program, [1, 2, 3, 5], [2, 3]), [3, 4]);
    assert.deepEqual(await probabilities(program, [1, 2], []), []);
    assert.deepEqual(await program.cut({ text: 'abc', special: true }), [0, 1, 2, 3]);
    assert.deepEqual(await program.cut({ text: 'abc', special: false }), [1, 2, 3]);
    const left = program.probabilities([1, 2, 3, 4], [1, 2, 3])[Symbol.asyncIterator]();
    await left.next();
    await left.return?.();
    assert.deepEqual(await program.greedy([1, 2], 1, []), [3]);
    await program.close();
  });

  it('tells in one line why it does not take the file, and how it died', async () => {
    await assert.rejects(open(packageThat('throw new Error("no such architecture")')), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^llama\.cpp cannot run a\.gguf: no such architecture/);
      return true;
    });
    await assert.rejects(
      open(packageThat('process.stderr.write("ggml failed\\n"); process.abort()')),
      /^UserError: llama\.cpp cannot run a\.gguf: its process was ended by SIGABRT[^\n]*$/,
    );
    const program = await open(packageThat());
    await assert.rejects(probabilities(program, [6, 7, 0], [1, 2]), /its process was ended by SIGABRT/);
    await program.close();
  });

  it('ends on a signal', async () => {
    const stop = new AbortController();
    const program = await open(packageThat(), stop.signal);
    stop.abort();
    await assert.rejects(program.greedy([1], 1, []), { name: 'AbortError' });
    await program.close();
  });

  it('is refused where the folder that is named has none', () => {
    const folder = temporaryFolder();
    assert.throws(
      () => withFolder(folder, nodeLlamaCpp),
      /is no folder into which node-llama-cpp was installed/,
    );
  });
});
