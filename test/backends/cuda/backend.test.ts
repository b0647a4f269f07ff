import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { sourceFolder } from '../../../src/backends/cuda/compile.js';
import { fake } from './fake.js';

const ROOT = resolve(import.meta.dirname, '../../..');
const scratch = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(scratch, { recursive: true }));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, script), ...args], {
    cwd: ROOT,
    env: { ...process.env, WESTWIND_CACHE: mkdtempSync(join(scratch, 'cache-')), ...env },
  });
  const [out, err]: string[][] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out!.push(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => err!.push(chunk.toString()));
  return new Promise((done) =>
    child.on('close', (code) => done({ code, stdout: out!.join(''), stderr: err!.join('') })),
  );
}

/** The backend on a card of a compute capability; the sources that it had compiled are in `folder`. */
async function open(capability: number): Promise<{ seen: Record<string, unknown>; folder: string }> {
  const folder = mkdtempSync(join(scratch, 'sources-'));
  const env = {
    ...{ WESTWIND_CUDA: fake().folder, WW_FAKE_FOLDER: fake().folder },
    WW_FAKE_CAPABILITY: String(capability),
    WW_FAKE_SOURCES: folder,
  };
  const { stdout, stderr } = await run('test/backends/cuda/child.ts', [], env);
  assert.notEqual(stdout, '', stderr);
  return { seen: JSON.parse(stdout) as Record<string, unknown>, folder };
}

const opened = Promise.all([open(90), open(75)]);

test('auto takes the GPU, and its bindings take every case of the conformance suite', async () => {
  const [{ seen }, { seen: old }] = await opened;
  assert.deepEqual(seen['faults'], []);
  assert.deepEqual([seen['name'], seen['activations'], seen['notice']], ['cuda', 'bf16', undefined]);
  assert.deepEqual(old['faults'], []);
  assert.deepEqual([old['name'], old['activations']], ['cuda', 'f32']);
  assert.match(
    String(old['description']),
    /compute capability 7\.5 \(too old for bfloat16: float32 throughout\)/,
  );
});

test('a recording replays what was enqueued, as often as it is run', async () => {
  const [{ seen }] = await opened;
  const once = ['graph', 'early ww_fill', 'early ww_scale'];
  assert.deepEqual(seen['replayed'], [...once, ...once]);
});

test('a machine whose GPU cannot be used goes on without it, and says why where that can be mended', async () => {
  const half = mkdtempSync(join(scratch, 'half-'));
  copyFileSync(fake().driver, join(half, 'libcuda.so.1'));
  const bench = async (env: NodeJS.ProcessEnv): Promise<Outcome> => {
    const args = ['bench', '--what', 'gemm', '--weights', 'f32', '--seconds', '0'];
    const outcome = await run('src/cli/main.ts', args, env);
    // Whether there is an OpenBLAS to compare with is another matter.
    return { ...outcome, stderr: outcome.stderr.replace(/^westwind: OpenBLAS .*\n/m, '') };
  };
  const [none, old, failing, missing] = await Promise.all([
    bench({ WESTWIND_CUDA: fake().folder, WW_FAKE_COUNT: '0' }),
    bench({ WESTWIND_CUDA: fake().folder, WW_FAKE_CAPABILITY: '70' }),
    bench({ WESTWIND_CUDA: fake().folder, WW_FAKE_FAIL: 'cuMemHostAlloc:1:2' }),
    bench({ WESTWIND_CUDA: half }),
  ]);
  assert.deepEqual([none.code, none.stderr], [0, '']);
  assert.equal(
    old.stderr,
    'westwind: the GPU is not used: Fake GPU has compute capability 7.0; Westwind needs 7.5 or more\n',
  );
  assert.match(
    failing.stderr,
    /the GPU is not used: the machine's main memory is out of room .*: 4 MiB were asked for/,
  );
  if (missing.stderr !== '')
    assert.match(missing.stderr, /the GPU is not used: (NVRTC|cuBLASLt) .*WESTWIND_CUDA\n/);
  for (const { code } of [old, failing, missing]) assert.equal(code, 0);
});

test('every kernel waits for the one before it, since it is launched before that one ends', () => {
  for (const file of readdirSync(sourceFolder()).filter((name) => name.endsWith('.cu'))) {
    const text = readFileSync(join(sourceFolder(), file), 'utf8');
    const kernels = text.split('__global__').slice(1);
    for (const kernel of kernels)
      assert.match(
        kernel,
        /begin_kernel\(\);|wait_for_inputs\(\);/,
        `${file}: ${/ww_\w+/.exec(kernel)?.[0]}`,
      );
  }
});

/** One set of defines for each source and card, or with WESTWIND_TEST_ALL_KERNELS every one that the suite asked for. */
function chosen(folder: string): string[] {
  const all = readdirSync(folder).sort();
  if (process.env['WESTWIND_TEST_ALL_KERNELS']) return all;
  return [...new Map(all.map((file) => [file.slice(5), file])).values()];
}

test('the kernels compile as the bindings ask for them, where nvcc is installed', async (t) => {
  if (spawnSync('nvcc', ['--version']).status !== 0) {
    t.skip('no nvcc');
    return;
  }
  const jobs = (await opened).flatMap(({ folder }) => chosen(folder).map((file) => join(folder, file)));
  assert.ok(jobs.length > 30);
  const faults: string[] = [];
  const worker = async (): Promise<void> => {
    for (let job = jobs.pop(); job !== undefined; job = jobs.pop()) {
      const target = /--gpu-architecture=(\w+)/.exec(readFileSync(job, 'utf8'))![1]!;
      const out = `${job}.cubin`;
      const flags = ['-std=c++17', `-arch=${target}`, '-cubin', '--Werror', 'all-warnings'];
      const include = ['-Wno-deprecated-gpu-targets', '-I', sourceFolder(), '-x', 'cu', '-o', out, job];
      const child = spawn('nvcc', [...flags, ...include]);
      const text: string[] = [];
      child.stderr.on('data', (chunk: Buffer) => text.push(chunk.toString()));
      const code = await new Promise((done) => child.on('close', done));
      if (code !== 0) faults.push(`${job}: ${text.join('')}`);
      else unlinkSync(out);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  assert.deepEqual(faults, []);
});
