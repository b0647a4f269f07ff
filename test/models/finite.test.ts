/** One value that is no number, anywhere in a model or an adapter: named on loading, whatever the weights become, and by merging. */

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { attachLora } from '../../src/adapters/lora.js';
import { mergeAdapter } from '../../src/adapters/merge.js';
import { loadAdapter, saveAdapter } from '../../src/adapters/peft.js';
import { loadModel } from '../../src/models/load.js';
import { openCheckpoint, writeSafetensors, type TensorToWrite } from '../../src/files/index.js';
import { writeBnbMatrix } from '../../src/quant/bnb.js';
import { saveModel } from '../../src/models/save.js';
import type { WeightOptions } from '../../src/models/weights.js';
import { UserError } from '../../src/util/errors.js';
import { spoil } from '../support/spoil.js';
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

/** The model at `from` as bitsandbytes would have written it. */
async function inFourBits(from: string, doubleQuant: boolean): Promise<string> {
  const path = `${from}-${doubleQuant ? 'doubly' : 'singly'}`;
  cpSync(from, path, { recursive: true });
  const model = await loadModel(be, from, { quantization: { doubleQuant } });
  const tensors: TensorToWrite[] = [];
  const packed = new Set<string>();
  for (const { name, weight } of model.linears.values()) {
    if (weight.kind !== 'nf4') continue;
    packed.add(`${name}.weight`);
    tensors.push(...(await writeBnbMatrix(be, weight, `${name}.weight`, 'float32')));
  }
  const file = openCheckpoint(from);
  for (const name of file.names)
    if (!packed.has(name)) tensors.push({ name, ...file.info(name), data: file.read(name).data });
  file.close();
  model.dispose();
  await writeSafetensors(join(path, 'model.safetensors'), tensors);
  return path;
}

test('a scale of a 4-bit weight that is not finite is named, as any other value beside it', async () => {
  const models = [await inFourBits(MODELS[0], false), await inFourBits(MODELS[0], true)];
  for (const path of models) (await loadModel(be, path)).dispose();
  const inScales = (name: string): boolean => name.includes('absmax') || name.endsWith('nested_quant_map');
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.nat(),
      fc.constantFrom(NaN, Infinity, -Infinity),
      fc.constantFrom(...models),
      fc.constantFrom(inScales, (name: string) => !name.endsWith('quant_map')),
      async (which, place, value, from, choice) => {
        const path = join(folder, 'spoilt-bits');
        cpSync(from, path, { recursive: true });
        const tensor = spoil(join(path, 'model.safetensors'), which, place, value, choice);
        const { held } = be.memory();
        await assert.rejects(loadModel(be, path), names(tensor));
        assert.equal(be.memory().held, held);
      },
    ),
    { numRuns: 25 },
  );
});

test('a value that the type asked for cannot hold is named: nothing becomes infinite on the way', async () => {
  const out = join(folder, 'merged');
  const from = MODELS[0];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.nat(),
      fc.constantFrom([65520, 'f16'], [-1e30, 'f16'], [3.4e38, 'bf16'] as const),
      async (which, place, [value, dtype]) => {
        const path = join(folder, 'spoilt');
        cpSync(from, path, { recursive: true });
        // Norms are kept in float32.
        const matrices = (name: string): boolean => !name.includes('norm');
        const tensor = spoil(join(path, 'model.safetensors'), which, place, value, matrices);
        await assert.rejects(loadModel(be, path, { dtype: dtype }), names(tensor));
        (await loadModel(be, path)).dispose();
        const type = dtype === 'f16' ? 'F16' : 'BF16';
        const merging = mergeAdapter(be, path, `${from}-adapter`, out, { force: true, dtype: type });
        await assert.rejects(merging, names(tensor));
      },
    ),
    { numRuns: 12 },
  );
  // The largest that still is rounded to a number.
  const path = join(folder, 'spoilt');
  cpSync(from, path, { recursive: true });
  spoil(join(path, 'model.safetensors'), 0, 0, 65519);
  (await loadModel(be, path, { dtype: 'f16' })).dispose();
});
