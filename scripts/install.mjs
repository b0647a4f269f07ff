// Compiles the CPU kernels for this machine after an install. Before `npm run build` has made dist there is nothing to do yet.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const module = new URL('../dist/backends/cpu/compile.js', import.meta.url);
if (existsSync(fileURLToPath(module))) {
  const { installCpuKernels } = await import(module.href);
  await installCpuKernels();
}
