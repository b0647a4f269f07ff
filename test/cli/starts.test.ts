/**
 * Verbs that compute by native code end with 0 however many threads they have, on a machine that has more to do: many are started at
 * once, which is the load. WESTWIND_STARTS=200 starts each verb 200 times.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeJob, makeModel, temporaryFolder, westwind } from './support.js';

const THREADS = [1, 2, 8, 64];
const AT_ONCE = 6;
let model: string;
before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

/** The words of a start, a number of its own for what it writes. */
const VERBS: Readonly<Record<string, (start: number) => string[]>> = {
  generate: () => ['generate', model, '-p', 'The cat', '-n', '8'],
  doctor: () => ['doctor'],
  bench: () => ['bench', '--what', 'generate', '--weights', 'f32', '--batch', '4', '--new-tokens', '4'],
  verify: () => ['verify', 'test/golden/models/qwen2'],
  run: () => ['run', makeJob(model, { 'max_steps: 40': 'max_steps: 1' }).config],
};

for (const [verb, words] of Object.entries(VERBS))
  test(`${verb} ends well on any number of threads, each time`, async () => {
    const starts = Number(process.env['WESTWIND_STARTS'] ?? THREADS.length);
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < starts) {
        const start = next++;
        const threads = THREADS[start % THREADS.length]!;
        const env = { WESTWIND_THREADS: String(threads) };
        const { code, signal, stderr } = await westwind(words(start), { env });
        assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${threads} threads: ${stderr}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  });
