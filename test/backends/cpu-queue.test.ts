/** The queue that the CPU's kernels stand in: calls return before the work is done, order holds, work can be left out, the process ends. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { Worker } from 'node:worker_threads';
import { createCpuBackend } from '../../src/backends/cpu/index.js';
import type { Span } from '../../src/backends/span.js';

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

/** What stands for a kernel, an upload or a wait in the test below, on three spans. */
type Step = 'double' | 'add' | 'scratch' | 'upload' | 'wait' | 'script' | 'other script';

test('a recording runs as often as it is asked for, in order with all else, whatever is short and whatever is long', async () => {
  const lengths = fc.constantFrom(1, 100, 40_000);
  const steps = fc.constantFrom<Step>(
    ...(['double', 'add', 'scratch', 'upload', 'wait', 'script', 'script', 'other script'] as const),
  );
  const bodies = fc.array(fc.constantFrom<Step>('double', 'add', 'scratch'), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(lengths, bodies, bodies, fc.array(steps, { maxLength: 60 }), async (n, a, b, steps) => {
      const [x, y] = [span(n, 1), span(n, 1)];
      let [atX, atY, uploads] = [1, 1, 0];
      const scale = (alpha: number): void => kernels.scale({ x, y: x, n, alpha });
      const ask = (step: Step): void => {
        if (step === 'double') scale(2);
        else if (step === 'add') kernels.add({ a: x, b: y, y: x, n });
        else if (step === 'scratch') {
          // y becomes x, by memory that is given back at once.
          const between = span(n);
          kernels.copy({ x, y: between, n });
          kernels.copy({ x: between, y, n });
          backend.free(between.buffer);
          scale(0.25);
        } else {
          const data = new Float32Array(n).fill(++uploads % 7);
          backend.upload(data, x);
        }
      };
      const expect = (step: Step): void => {
        if (step === 'double') atX *= 2;
        else if (step === 'add') atX += atY;
        else if (step === 'scratch') [atX, atY] = [Math.fround(atX * 0.25), atX];
        else atX = uploads % 7;
        atX = Math.fround(atX);
      };
      const scripts = [a, b].map((body) => backend.record(() => body.forEach(ask)));
      const seen = async (): Promise<void> => {
        const [isX, isY] = await Promise.all([backend.download(x), backend.download(y)]);
        assert.ok(new Float32Array(isX.buffer).every((v) => Object.is(v, atX)));
        assert.ok(new Float32Array(isY.buffer).every((v) => Object.is(v, atY)));
      };
      for (const step of steps) {
        if (step === 'wait') await seen();
        else if (step === 'script' || step === 'other script') {
          const which = step === 'script' ? 0 : 1;
          scripts[which]!.run();
          [a, b][which]!.forEach(expect);
        } else {
          ask(step);
          expect(step);
        }
      }
      await seen();
      for (const s of scripts) s.dispose();
      for (const s of [x, y]) backend.free(s.buffer);
    }),
    { numRuns: 150 },
  );
  assert.equal(backend.memory().held, 0);
});

test('a recording ends on its way when its signal is aborted, and is whole the next time', async () => {
  const [x, one] = [span(LARGE, 0), span(LARGE, 1)];
  const many = 2000;
  const script = backend.record(() => {
    for (let i = 0; i < many; i++) kernels.add({ a: x, b: one, y: x, n: LARGE });
  });
  const stop = new AbortController();
  backend.abortable(stop.signal, () => script.run());
  setImmediate(() => stop.abort());
  const some = await first(x);
  assert.ok(some < many, String(some));
  kernels.fill({ y: x, n: LARGE, value: 0 });
  script.dispose();
  const short = backend.record(() => kernels.add({ a: x, b: one, y: x, n: LARGE }));
  for (let i = 1; i <= 5; i++) {
    short.run();
    assert.equal(await first(x), i);
  }
  short.dispose();
  for (const s of [x, one]) backend.free(s.buffer);
});

test('a recording over memory that was freed since is refused, and one that fails leaves nothing behind', async () => {
  const held = backend.memory().held;
  const [x, y] = [span(16, 1), span(16, 1)];
  const script = backend.record(() => kernels.add({ a: x, b: y, y: x, n: 16 }));
  script.run();
  assert.equal(await first(x), 2);
  backend.free(y.buffer);
  assert.throws(() => script.run(), /^RangeError: .*freed/);
  script.dispose();
  const fail = (): never => {
    backend.free(span(1000, 0).buffer);
    throw new Error('within');
  };
  assert.throws(() => backend.record(fail), /within/);
  assert.equal(await first(x), 2);
  backend.free(x.buffer);
  assert.equal(backend.memory().held, held);
});

test('what goes back to the system while something is recorded goes back once, and at once', async () => {
  const n = 1 << 22;
  const [x, other] = [span(16, 1), span(n)];
  backend.free(other.buffer);
  const script = backend.record(() => {
    backend.trim();
    kernels.scale({ x, y: x, n: 16, alpha: 2 });
  });
  const later: Span[] = [];
  for (let i = 1; i <= 4; i++) {
    script.run();
    // It comes to lie where what went back lay.
    later.push(span(n, i));
    assert.equal(await first(x), 2 ** i);
  }
  for (const [i, one] of later.entries()) {
    kernels.scale({ x: one, y: one, n, alpha: 2 });
    assert.equal(await first(one), 2 * (i + 1));
  }
  script.dispose();
  for (const one of [x, ...later]) backend.free(one.buffer);
});

test('a recording is disposed of once, runs no more then, and takes no uploads, downloads or recordings into it', async () => {
  const x = span(16, 1);
  const double = (): void => kernels.scale({ x, y: x, n: 16, alpha: 2 });
  const [one, other] = [backend.record(double), backend.record(double)];
  for (let i = 0; i < 3; i++) one.dispose();
  assert.throws(() => one.run(), /^RangeError: .*disposed/);
  other.run();
  assert.equal(await first(x), 2);
  other.dispose();
  for (const within of [
    () => backend.upload(new Float32Array(1), x),
    () => void backend.download(x),
    () => void backend.record(double),
  ])
    assert.throws(() => backend.record(within), /^RangeError: .*a recording is under way/);
  double();
  assert.equal(await first(x), 4);
  backend.free(x.buffer);
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
