/** `westwind verify DIR...`: a line a check, with its error and tolerance. */

import pc from 'picocolors';
import type { Check } from '../experiments/verify/check.js';
import { verifyFolder } from '../experiments/verify/index.js';
import { deviceOptions, openBackend, type DeviceFlags } from './device.js';
import type { Verb } from './main.js';

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
          process.stdout.write(
            (flags.json ? JSON.stringify({ device: backend.name, ...check }) : line(check)) + '\n',
          );
        }
      }
      if (!flags.json) process.stdout.write(`${backend.name}: ${passed} passed, ${failed} failed\n`);
      process.exitCode = failed === 0 ? 0 : 1;
    });
};

function line({ subject, name, error, tolerance, ok }: Check): string {
  const mark = ok ? pc.green('ok  ') : pc.red('FAIL');
  return `${mark} ${subject.padEnd(12)} ${name.padEnd(34)} error ${error.toExponential(2)}   tolerance ${tolerance.toExponential(0)}`;
}
