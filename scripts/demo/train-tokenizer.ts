/**
 * Writes the tokenizer and the configuration of examples/model: `node --import tsx scripts/demo/train-tokenizer.ts`. The same bytes
 * each time.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelFiles } from './model-files.js';

const folder = join(import.meta.dirname, '../../examples/model');
mkdirSync(folder, { recursive: true });
for (const [name, text] of modelFiles()) {
  writeFileSync(join(folder, name), text);
  console.log(`${name}: ${Buffer.byteLength(text)} bytes`);
}
