/**
 * The whole `cuda` backend over the fake libraries, in a process of its own: it is opened once a process. Runs every conformance case,
 * of whose results nothing is expected here; says what it saw as JSON.
 */

import { createBackend } from '../../../src/backends/select.js';
import type { Kernels } from '../../../src/backends/kernels.js';
import { bf16Cases } from '../conformance/bf16.js';
import { CASES } from '../conformance/cases.js';
import { ALIGNMENTS, execute } from '../conformance/harness.js';
import { fake } from './fake.js';

const { backend, notice } = await createBackend('auto');
const faults: string[] = [];
for (const kernel of Object.keys(CASES) as (keyof Kernels)[]) {
  const cases = CASES[kernel];
  for (const test of backend.activations === 'bf16' ? [...cases, ...bf16Cases(kernel, cases)] : cases)
    for (const alignment of ALIGNMENTS)
      try {
        await execute(backend, test, alignment);
      } catch (error) {
        faults.push(`${kernel} (${test.name}): ${String(error)}`);
      }
}

const x = backend.alloc(64);
const span = { buffer: x, offset: 0, dtype: 'f32', length: 16 } as const;
const recording = backend.record(() => {
  backend.kernels.fill({ y: span, n: 16, value: 1 });
  backend.kernels.scale({ x: span, y: span, n: 16, alpha: 2 });
});
fake().set('LOG', '');
recording.run();
recording.run();
const replayed = fake()
  .log()
  .map((line) => line.split(' ').slice(0, 2).join(' '));
recording.dispose();
const { name, activations, description } = backend;
process.stdout.write(JSON.stringify({ name, activations, description, notice, faults, replayed }));
