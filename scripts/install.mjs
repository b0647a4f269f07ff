// What follows an install and a build: compiles the CPU kernels for this machine, and makes the command one that a shell runs.
// Before `npm run build` has made dist there is nothing to do yet.
import { chmodSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
if (existsSync(command)) {
  // npm does so only when it links the command: not when dist is built anew behind a link, as npx keeps one for a checkout.
  chmodSync(command, 0o755);
  const { installCpuKernels } = await import('../dist/backends/cpu/compile.js');
  await installCpuKernels();
}
