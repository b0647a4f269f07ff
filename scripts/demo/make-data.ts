/** Writes examples/data: `node --import tsx scripts/demo/make-data.ts`. The same bytes each time. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dataFiles } from './data-files.js';

for (const [name, text] of dataFiles()) {
  const path = join(import.meta.dirname, '../../examples/data', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  console.log(`${name}: ${text.length} bytes`);
}
