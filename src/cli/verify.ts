/** `westwind verify DIR...`: a line a check, with its error and tolerance. */

import type { Check } from '../experiments/verify/check.js';
import { verifyFolder } from '../experiments/verify/index.js';
import { deviceOptions, openBackend, type DeviceFlags } from './device.js';
import type { Verb } from './main.js';
import { paint, say, sayJson, type Painted } from './output.js';

export const verb: Verb = (command) => {
  deviceOptions(command)
    .argument('<dir...>', 'folders or files laid out like the golden data')
    .option('--json', 'one JSON object a line')
    .action(async (folders: string[], flags: DeviceFlags & { json?: boolean }) => {
      const backend = await openBackend(flags);
      let failed = 0;
      let passed = 0;
      for (const folder of folders) {
        for await (const check of verifyFolder(backend, folder)) {
          if (check.ok) passed++;
          else failed++;
          if (flags.json) sayJson({ device: backend.name, ...check });
          else say(...line(check));
        }
      }
      if (!flags.json) say(`${backend.name}: ${passed} passed, ${failed} failed`);
      process.exitCode = failed === 0 ? 0 : 1;
    });
};

function line({ subject, name, error, tolerance, ok }: Check): (Painted | string)[] {
  const mark = ok ? paint('green', 'ok  ') : paint('red', 'FAIL');
  const text = ` ${subject.padEnd(12)} ${name.padEnd(34)} error ${error.toExponential(2)}   tolerance ${tolerance.toExponential(0)}`;
  return [mark, text];
}
