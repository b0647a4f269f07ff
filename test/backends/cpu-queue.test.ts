/** The queue that the CPU's kernels stand in: calls return before the work is done, order holds, work can be left out, the process ends. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createCpuBackend } from '../../src/backends/cpu/index.js';
import type { Span } from '../../src/backends/contract.js';

const backend = createCpuBackend({ threads: 2 });
const { kernels } = backend;
const LARGE = 1 << 22;

function span(length: number, value?: number): Span {
  const made: Span = { buffer: backend.alloc(length * 4), offset: 0, dtype: 'f32', length };
  if (value !== undefined) kernels.fill({ y: made, n: length, value });
  return made;
}

async function first(of: Span): Promise<number> {
  return new Float32Array((await backend.download({ ...of, length: 1 })).buffer)[0]!;
}

test('the event loop turns while kernels run', async () => {
  const [x, one] = [span(LARGE, 0), span(LARGE, 1)];
  for (let i = 0; i < 200; i++) kernels.add({ a: x, b: one, y: x, n: LARGE });
  let turns = 0;
  let done = false;
  const result = first(x).finally(() => (done = true));
  while (!done) {
    await new Promise(setImmediate);
    turns++;
  }
  assert.equal(await result, 200);
  assert.ok(turns > 1);
  for (const s of [x, one]) backend.free(s.buffer);
});

test('memory that is freed and handed out again, small and large uploads and downloads are in order with the kernels', async () => {
  const seen: Promise<Uint8Array>[] = [];
  for (let i = 0; i < 300; i++) {
    const length = i % 3 === 0 ? 40_000 : 1 + (i % 7);
    const x = span(length);
    const data = new Float32Array(length).fill(i);
    backend.upload(data, x);
    data.fill(-1);
    kernels.scale({ x, y: x, n: length, alpha: 2 });
    seen.push(backend.download(x));
    backend.free(x.buffer);
    if (i % 50 === 49) backend.trim();
  }
  for (const [i, bytes] of (await Promise.all(seen)).entries()) {
    const values = new Float32Array(bytes.buffer);
    assert.ok(values.every((v) => v === 2 * i));
  }
});

test('what was asked for under an aborted signal is left out, what others asked for is done', async () => {
  const [x, one] = [span(LARGE, 0), span(LARGE, 1)];
  const add = (): void => kernels.add({ a: x, b: one, y: x, n: LARGE });
  const stop = new AbortController();
  const many = 2000;
  backend.abortable(stop.signal, () => {
    for (let i = 0; i < many; i++) add();
  });
  add();
  stop.abort();
  const some = await first(x);
  assert.ok(some >= 1 && some < many);
  backend.abortable(stop.signal, add);
  add();
  assert.equal(await first(x), some + 1);
  backend.abortable(new AbortController().signal, add);
  assert.equal(await first(x), some + 2);
  for (const s of [x, one]) backend.free(s.buffer);
});

test('waits of many sizes beside each other all end, and the loop has its turn among them', async () => {
  const x = span(1 << 16, 0);
  const waits = Array.from({ length: 50 }, async (_, i) => {
    for (let k = 0; k < 20; k++) {
      for (let j = 0; j < i % 5; j++) kernels.scale({ x, y: x, n: x.length, alpha: 1 });
      await (k % 2 === 0 ? backend.synchronize() : backend.download({ ...x, length: 3 }));
    }
  });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await Promise.all(waits);
  // A timer had its chance between them.
  await new Promise((resolve) => setTimeout(resolve, 2));
  clearInterval(timer);
  assert.ok(ticks > 0);
  backend.free(x.buffer);
});

const SOURCE = new URL('../../src/backends/cpu/index.ts', import.meta.url).href;

/** Defines `work`, which enqueues so many kernels over `x`. */
const PROGRAM = `
  const b = createCpuBackend({ threads: 2 });
  const n = 1 << 22;
  const x = { buffer: b.alloc(n * 4), offset: 0, dtype: 'f32', length: n };
  const work = (times) => { for (let i = 0; i < times; i++) b.kernels.scale({ x, y: x, n, alpha: 0.5 }); };
`;

test('a process ends with its work under way, and where it waits for nothing', () => {
  const endings = [
    'work(5000); process.exit(0);',
    'work(5000); b.download(x); setImmediate(() => process.exit(0));',
    'work(3);',
    'work(3); await b.synchronize(); await b.download(x);',
    // The second wait is by the pipe.
    'work(100); await b.synchronize(); work(1); await b.synchronize();',
  ];
  for (const ending of endings) {
    const program = `import { createCpuBackend } from '${SOURCE}'; ${PROGRAM} ${ending}`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    const { status, signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.deepEqual([status, signal], [0, null], `${ending} ${stderr}`);
  }
});

test('worker threads end with work under way, and others go on', async () => {
  for (const ending of [
    'process.exit(0)',
    "require('node:worker_threads').parentPort.postMessage('busy'); await b.download(x)",
  ]) {
    const code = `
      import('tsx/esm/api').then(({ register }) => { register(); return import('${SOURCE}'); }).then(async ({ createCpuBackend }) => { ${PROGRAM} work(200); ${ending}; });`;
    const worker = new Worker(code, { eval: true, execArgv: [] });
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.once('message', () => void worker.terminate());
    await ended;
    const x = span(10, 3);
    kernels.scale({ x, y: x, n: 10, alpha: 2 });
    assert.equal(await first(x), 6);
    backend.free(x.buffer);
  }
});
