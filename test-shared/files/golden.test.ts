/** Files of the Python library: read, and written again to the same bytes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SafetensorsFile, openCheckpoint, writeCheckpoint, writeSafetensors } from '../../src/files/index.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';
const golden = join(shared, 'golden');
const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(folder, { recursive: true }));

const files = readdirSync(golden, { recursive: true, encoding: 'utf8' }).filter((f) =>
  f.endsWith('.safetensors'),
);

describe('safetensors files of the Python library', () => {
  assert.ok(files.length > 30);
  for (const name of files) {
    it(`${name} is written again to the same bytes`, async () => {
      const path = join(golden, name);
      const copy = join(folder, 'copy.safetensors');
      const file = SafetensorsFile.open(path);
      const tensors = file.names.map((n) => ({ name: n, ...file.info(n), data: () => file.read(n).data }));
      await writeSafetensors(copy, tensors, file.metadata);
      file.close();
      assert.ok(readFileSync(copy).equals(readFileSync(path)));
    });
  }
});

it('a real model cut into shards reads as before', async () => {
  const whole = openCheckpoint(join(shared, 'models/stories260K'));
  const tensors = whole.names.map((n) => ({ name: n, ...whole.info(n), data: () => whole.read(n).data }));
  await writeCheckpoint(folder, tensors, { maxShardSize: '200KB' });
  const cut = openCheckpoint(folder);
  assert.deepEqual([...cut.names].sort(), [...whole.names].sort());
  for (const name of whole.names) assert.deepEqual(cut.read(name), whole.read(name));
  whole.close();
  cut.close();
});
