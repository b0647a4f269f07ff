/** Runs cases in processes that are watched: one that crashes or hangs costs its case, which is kept, and another goes on behind it. */

import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createBackend } from '../../src/backends/select.js';
import { Cases } from './cases.js';
import { makeSeeds } from './seeds.js';
import type { Message, Order } from './worker.js';

interface FuzzOptions {
  readonly cases: number;
  readonly seed: number;
  readonly processes: number;
  /** Where damaged files that found a fault are kept; absent: nowhere. */
  readonly keep?: string | undefined;
  readonly only?: readonly string[] | undefined;
  readonly from?: number | undefined;
  readonly onFault?: (fault: Fault) => void;
}

export interface Fault {
  readonly reader: string;
  readonly index: number;
  /** A stack, or how the process ended. */
  readonly what: string;
}

interface FuzzReport {
  readonly counts: Readonly<Record<string, { ok: number; refused: number; faults: number }>>;
  readonly faults: readonly Fault[];
}

/** A case that has used so much processor time, or has not moved for so long on a machine that is busy with others, hangs. */
const HANG_CPU_SECONDS = 10;
const HANG_SECONDS = 120;
const LOOK_EVERY_MS = 1000;

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'westwind-fuzz-'));
  try {
    const seeds = join(root, 'seeds');
    const { backend } = await createBackend('reference');
    await makeSeeds(seeds, backend);
    const counts: Record<string, { ok: number; refused: number; faults: number }> = {};
    const faults: Fault[] = [];
    const of = (reader: string) => (counts[reader] ??= { ok: 0, refused: 0, faults: 0 });
    const cases = await Cases.open(backend, options.seed, seeds, join(root, 'again'), options.only);
    const found = (index: number, what: string): void => {
      const { reader, path, bytes } = cases.make(index);
      of(reader).faults++;
      const fault = { reader, index, what };
      faults.push(fault);
      options.onFault?.(fault);
      if (options.keep === undefined) return;
      mkdirSync(options.keep, { recursive: true });
      const name = join(options.keep, `${reader.replace(/\W+/g, '-')}-${options.seed}-${index}`);
      writeFileSync(`${name}-${basename(path)}`, bytes);
      writeFileSync(`${name}.txt`, `${path.slice(root.length)}\n${what}\n`);
    };
    const lanes = Array.from({ length: options.processes }, async (_, lane) => {
      const { from = 0 } = options;
      let next: number | undefined = from + lane;
      while (next !== undefined && next < from + options.cases) {
        const order: Order = {
          ...{
            seed: options.seed,
            seeds,
            own: join(root, `own-${lane}`),
            progress: join(root, `progress-${lane}`),
          },
          ...{ from: next, to: from + options.cases, step: options.processes, only: options.only },
        };
        const died = await watched(order, (message) => {
          if (message.type === 'fault') found(message.index, message.stack);
          if (message.type !== 'counts') return;
          for (const [reader, { ok, refused }] of Object.entries(message.counts)) {
            of(reader).ok += ok;
            of(reader).refused += refused;
          }
        });
        if (died !== undefined) found(died.index, died.how);
        next = died === undefined ? undefined : died.index + options.processes;
      }
    });
    for (const end of await Promise.allSettled(lanes)) if (end.status === 'rejected') throw end.reason;
    return { counts, faults };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** @returns undefined at the end of its cases, else the case that ended the process */
function watched(
  order: Order,
  onMessage: (message: Message) => void,
): Promise<{ index: number; how: string } | undefined> {
  rmSync(order.progress, { force: true });
  const child = fork(join(import.meta.dirname, 'worker.ts'), [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--import', import.meta.resolve('tsx'), '--max-old-space-size=1536'],
  });
  let complaint = '';
  child
    .stderr!.setEncoding('utf8')
    .on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  return new Promise((resolve, reject) => {
    let ended = false;
    let how: string | undefined;
    let at: { index: number; cpu: number; time: number } | undefined;
    const timer = setInterval(() => {
      const index = readIndex(order.progress);
      if (index === undefined) return;
      const cpu = cpuSeconds(child);
      const time = performance.now() / 1000;
      if (at?.index !== index) at = { index, cpu, time };
      else if (cpu - at.cpu > HANG_CPU_SECONDS || time - at.time > HANG_SECONDS) {
        how = `hangs: ${(cpu - at.cpu).toFixed(0)} s of a processor in ${(time - at.time).toFixed(0)} s`;
        child.kill('SIGKILL');
      }
    }, LOOK_EVERY_MS);
    child.on('message', (message) => {
      ended ||= (message as Message).type === 'end';
      onMessage(message as Message);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearInterval(timer);
      const index = readIndex(order.progress);
      if (ended) resolve(undefined);
      else if (index === undefined) reject(new Error(`the process could not begin: ${complaint}`));
      else resolve({ index, how: how ?? `the process ended by ${signal ?? `code ${code}`}: ${complaint}` });
    });
    child.send(order);
  });
}

function readIndex(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const bytes = readFileSync(path);
  return bytes.length < 8 ? undefined : bytes.readDoubleLE(0);
}

/** What a process has used so far; 0 where the system does not tell. */
function cpuSeconds({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

/** Markdown, a line a reader. */
export function table({ counts }: FuzzReport): string {
  const lines = Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { ok, refused, faults }]) => [name, ok, refused, faults]);
  const sum = (column: number): number => lines.reduce((n, line) => n + Number(line[column]), 0);
  const rows = [
    ['reader', 'read', 'refused', 'faults'],
    ['---', '---:', '---:', '---:'],
    ...lines,
    ['all', sum(1), sum(2), sum(3)],
  ];
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
