import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isFourBit, weightsHeldOf } from '../../../src/experiments/store/base-weights.js';

test('weights are held as they are stored in four bits, else as the settings say', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-held-'));
  const held = (stored: unknown, quantization?: { doubleQuant: boolean }): string => {
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ quantization_config: stored }));
    return weightsHeldOf({ dtype: 'bf16', quantization }, folder);
  };
  const bnb = { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' };
  assert.equal(held(undefined), 'bf16');
  assert.equal(held(null), 'bf16');
  assert.equal(held(undefined, { doubleQuant: true }), 'NF4');
  assert.equal(held(undefined, { doubleQuant: false }), 'NF4, single');
  assert.equal(held(bnb), 'NF4, single');
  assert.equal(held({ ...bnb, bnb_4bit_use_double_quant: true }, { doubleQuant: false }), 'NF4');
  assert.deepEqual([held(bnb), held(null)].map(isFourBit), [true, false]);
  rmSync(folder, { recursive: true });
});
