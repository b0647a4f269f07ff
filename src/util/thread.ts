import { Worker, type WorkerOptions } from 'node:worker_threads';

/** A thread of a file that ends in .js in the package, and in .ts where the sources run: then it needs a loader, which it does not inherit. */
export function startThread(file: URL, options: WorkerOptions): Worker {
  const own = { ...options, execArgv: [] };
  if (!file.pathname.endsWith('.ts')) return new Worker(file, own);
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const code = `import(${loader}).then(({ register }) => (register(), import(${JSON.stringify(file.href)})))`;
  return new Worker(code, { ...own, eval: true });
}
