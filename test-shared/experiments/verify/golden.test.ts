import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyFolder } from '../../../src/experiments/verify/index.js';
import { backend } from '../../../test/support/tiny.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';

const paths = [
  ...['mistral', 'llama', 'llama3', 'qwen2'].map((family) => `golden/${family}`),
  'golden/nf4-bitsandbytes.safetensors',
  'golden/text',
  'golden/chat',
  'models/stories260K',
];
for (const device of ['cpu', 'reference'] as const) {
  for (const path of paths) {
    // Text is the same on every device.
    if (['golden/text', 'golden/chat'].includes(path) && device === 'reference') continue;
    test(`${path} on ${device}`, async () => {
      assert.ok(existsSync(join(shared, path)), `${join(shared, path)} is missing`);
      const be = await backend(device);
      for await (const check of verifyFolder(be, join(shared, path))) {
        assert.ok(
          check.ok,
          `${check.subject}, ${check.name}: error ${check.error}, tolerance ${check.tolerance}`,
        );
      }
      assert.equal(be.memory().held, 0);
    });
  }
}
