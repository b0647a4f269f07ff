/** What this machine offers to Westwind. */

import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { findCompiler } from '../../backends/cpu/compile.js';
import type { DeviceName } from '../../backends/contract.js';
import { createBackend } from '../../backends/select.js';
import { architectures } from '../../models/families/index.js';
import { messageOf } from '../../util/errors.js';
import { version } from '../../util/version.js';

/** A line for people by subject; what is missing comes with the way to mend it. */
export async function describeMachine(): Promise<Record<string, string>> {
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const state = (name: DeviceName): Promise<string> =>
    createBackend(name).then(
      ({ backend }) => `ready: ${backend.description}${backend.fastBf16 ? '; fast bfloat16 products' : ''}`,
      (error: unknown) => `not available: ${messageOf(error)}`,
    );
  return {
    westwind: version(),
    node: process.version,
    processor: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} of ${cpus().length} cores`,
    memory: `${gib(totalmem())}, ${gib(freemem())} free`,
    compiler: findCompiler()?.version ?? 'none found: install gcc or clang, then run npm rebuild westwind',
    cuda: await state('cuda'),
    cpu: await state('cpu'),
    reference: 'ready: plain TypeScript, slow, for checking and where there is no compiler',
    models: architectures().join(', '),
  };
}
