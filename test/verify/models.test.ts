import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyFolder } from '../../src/experiments/verify/index.js';
import { backend } from '../support/tiny.js';

// Golden folders: a window and grouped heads; biases and a tied head; norms over heads and a window on the upper layer alone; local and
// global layers with norms on both sides.
for (const device of ['cpu', 'reference'] as const) {
  for (const family of ['mistral', 'qwen2', 'qwen3', 'gemma3']) {
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
