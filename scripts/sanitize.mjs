// Runs the kernels' tests with the kernels compiled under a sanitizer: `node scripts/sanitize.mjs [address|thread] [test files]`.
// `address` (with undefined behaviour) finds reads and writes outside of buffers, `thread` finds races. The sanitizer's runtime has to
// be in the process from its start, hence LD_PRELOAD. Linux with gcc.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const [kind = 'address', ...named] = process.argv.slice(2);
const kinds = {
  address: {
    flags: '-fsanitize=address,undefined -fno-sanitize-recover=all',
    runtimes: ['libasan.so', 'libubsan.so'],
  },
  thread: { flags: '-fsanitize=thread', runtimes: ['libtsan.so'] },
};
const { flags, runtimes } =
  kinds[kind] ?? fail(`unknown sanitizer '${kind}': choose ${Object.keys(kinds).join(' or ')}`);
const kernelTests = readdirSync('test/backends').filter((f) => /^(cpu-.*|conformance)\.test\.ts$/.test(f));
const files = named.length > 0 ? named : kernelTests.map((f) => join('test/backends', f));

const cc = process.env.WESTWIND_CC ?? 'gcc';
const preload = runtimes.map((name) => {
  const { status, stdout } = spawnSync(cc, [`-print-file-name=${name}`], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : fail(`${cc} does not run: install gcc, or let WESTWIND_CC name it`);
});
const env = {
  ...process.env,
  WESTWIND_CC: cc,
  WESTWIND_CFLAGS: `-g -O1 ${flags}`,
  LD_PRELOAD: preload.join(':'),
  // Node.js frees nothing at its end, and its own threads are not compiled for the race detector.
  ASAN_OPTIONS: 'detect_leaks=0:detect_stack_use_after_return=0',
  TSAN_OPTIONS: 'halt_on_error=1:report_signal_unsafe=0:ignore_noninstrumented_modules=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};
// The compiler must run without the preloaded runtime, so the kernels are compiled first.
const compile = `import('./src/backends/cpu/compile.ts').then((m) => console.log(m.compileKernels().path))`;
const plain = { ...env, LD_PRELOAD: '' };
const built = spawnSync(process.execPath, ['--import', 'tsx', '-e', compile], {
  env: plain,
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(built.status ?? 1);
let failed = 0;
const waiting = [...files];
// Two at a time, since much of a test is one thread of JavaScript; each tells of itself at its end.
const lane = async () => {
  for (let file; (file = waiting.shift()) !== undefined;) {
    // Without address space randomization, which the race detector's fixed memory layout does not bear.
    const args = ['-R', process.execPath, '--import', 'tsx', file];
    const child = spawn('setarch', args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => output.push(part));
    const [status] = await once(child, 'close');
    process.stdout.write(Buffer.concat(output));
    console.log(`${file}: ${status === 0 ? 'clean' : 'FAILED'}`);
    if (status !== 0) failed = 1;
  }
};
await Promise.all([lane(), lane()]);
process.exit(failed);

function fail(message) {
  console.error(message);
  process.exit(2);
}
