/** All of bitsandbytes' golden matrices: float32, bfloat16, float16. */

import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createBackend } from '../../src/backends/select.js';
import { SafetensorsFile } from '../../src/files/safetensors.js';
import { checkGolden } from '../../test/quant/check-golden.js';

const shared = process.env['WESTWIND_SHARED'] ?? '../shared';
const file = SafetensorsFile.open(join(shared, 'golden', 'nf4-bitsandbytes.safetensors'));
after(() => file.close());

describe('NF4 as bitsandbytes has it', () => {
  for (const device of ['reference', 'cpu'])
    for (const name of ['a', 'b', 'c'])
      it(`matrix ${name} on ${device}`, async () => {
        const { backend } = await createBackend(device);
        await checkGolden(backend, file, name);
      });
});
