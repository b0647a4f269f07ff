import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyFolder } from '../../../src/experiments/verify/index.js';
import { backend } from '../../support/tiny.js';

// Golden families, copied here: between them an encoder, windows, grouped heads, biases, tied heads, fused heads in each of their layouts,
// halves of a layer one behind the other or side by side, heads of which a part is turned, norms over heads and on both sides of a layer's halves.
const FOLDERS = [
  ...['mistral', 'qwen2', 'gpt_neox', 'neox-parallel'],
  ...['falcon', 'falcon-new', 'falcon-one-norm', 'falcon-alibi'],
  ...['qwen3', 'gemma3', 't5'],
];
for (const device of ['cpu', 'reference'] as const) {
  for (const family of FOLDERS) {
    test(`${family} on ${device}: logits, loss, greedy tokens and three trajectories as transformers and PEFT compute them`, async () => {
      const be = await backend(device);
      let checks = 0;
      for await (const check of verifyFolder(be, `test/golden/models/${family}`)) {
        checks++;
        assert.ok(check.ok, `${check.name}: error ${check.error}, tolerance ${check.tolerance}`);
      }
      assert.equal(checks, 12);
      assert.equal(be.memory().held, 0);
    });
  }
}
