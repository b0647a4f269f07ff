/** One value that is no number, anywhere in a model or an adapter: named on loading, whatever the weights become, and by merging. */

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { attachLora } from '../../src/adapters/lora.js';
import { mergeAdapter } from '../../src/adapters/merge.js';
import { loadAdapter, saveAdapter } from '../../src/adapters/peft.js';
import { loadModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';
import type { WeightOptions } from '../../src/models/weights.js';
import { UserError } from '../../src/util/errors.js';
import { backend, familyConfig, tinyModel, tinyT5 } from '../support/tiny.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-finite-'));
after(() => rmSync(folder, { recursive: true }));

const be = await backend();
const WAYS: readonly WeightOptions[] = [{}, { dtype: 'bf16' }, { quantization: { doubleQuant: true } }];

async function saved(name: string, config: Record<string, unknown>): Promise<string> {
  const model = await tinyModel(be, { seed: 3 }, config);
  const path = join(folder, name);
  await saveModel(model, path);
  const adapter = attachLora(
    model,
    { r: 4, lora_alpha: 8, lora_dropout: 0, use_rslora: false, target_modules: 'all-linear' },
    { seed: 1 },
  );
  await saveAdapter(adapter, join(folder, `${name}-adapter`), path);
  adapter.dispose();
  model.dispose();
  return path;
}

const MODELS = await Promise.all([
  saved('mistral', familyConfig('mistral')),
  saved('gpt_neox', familyConfig('gpt_neox')),
  saved('t5', tinyT5()),
]);

/** A float32 file with a value of a tensor made another. @returns the tensor's name */
function spoil(path: string, which: number, place: number, value: number): string {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { readonly dtype: string; readonly data_offsets: readonly [number, number] }
  >;
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  const name = names[which % names.length]!;
  const { dtype, data_offsets: at } = header[name]!;
  assert.equal(dtype, 'F32');
  bytes.writeFloatLE(value, 8 + length + at[0] + 4 * (place % ((at[1] - at[0]) / 4)));
  writeFileSync(path, bytes);
  return name;
}

function names(tensor: string): (error: unknown) => boolean {
  return (error) => error instanceof UserError && error.message.includes(`'${tensor}'`);
}

const anywhere = [
  fc.nat(),
  fc.nat(),
  fc.constantFrom(NaN, Infinity, -Infinity),
  fc.constantFrom(...MODELS),
] as const;

test('a weight that is not finite is named on loading, in every form', async () => {
  await fc.assert(
    fc.asyncProperty(...anywhere, fc.constantFrom(...WAYS), async (which, place, value, from, way) => {
      const path = join(folder, 'spoilt');
      cpSync(from, path, { recursive: true });
      const tensor = spoil(join(path, 'model.safetensors'), which, place, value);
      await assert.rejects(loadModel(be, path, way), names(tensor));
      await assert.rejects(
        mergeAdapter(be, path, `${from}-adapter`, join(folder, 'merged'), { force: true }),
        names(tensor),
      );
    }),
    { numRuns: 40 },
  );
});

test('an adapter with a value that is not finite is named on loading and by merging', async () => {
  await fc.assert(
    fc.asyncProperty(...anywhere, async (which, place, value, from) => {
      const path = join(folder, 'spoilt-adapter');
      cpSync(`${from}-adapter`, path, { recursive: true });
      const tensor = spoil(join(path, 'adapter_model.safetensors'), which, place, value);
      const model = await loadModel(be, from);
      assert.throws(() => loadAdapter(model, path), names(tensor));
      model.dispose();
      await assert.rejects(
        mergeAdapter(be, from, path, join(folder, 'merged'), { force: true }),
        names(tensor),
      );
    }),
    { numRuns: 20 },
  );
});
