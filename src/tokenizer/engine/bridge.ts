/**
 * A thread between one that has tokenizers and the process with the engines: the one may stand still until a text is encoded, so
 * somebody else must listen. Orders are given one after the other, so that a process that dies tells by which; the next order gets a
 * new process, which is told again of the tokenizers that it needs.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workerData, type MessagePort } from 'node:worker_threads';
import { isFailure, type Call, type Failure, type Order, type Reply, type Result } from './protocol.js';

const { port, signal } = workerData as { port: MessagePort; signal: Int32Array };

/** Milliseconds for a process to start, on a machine that is busy with other things. */
const START_LIMIT = 120_000;

const ENTRY = fileURLToPath(new URL(`./process${extname(import.meta.url)}`, import.meta.url));
const LOADER = ENTRY.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [];

type Answer = Result | Failure;

/** The process, and which tokenizers it knows. */
class Engines {
  readonly loaded = new Set<number>();
  readonly #child: ChildProcess;
  readonly #started: Promise<void>;
  #complaint = '';
  #answer: ((result: Answer) => void) | undefined;
  #ended = false;

  constructor() {
    const child = fork(ENTRY, [], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
      execArgv: LOADER,
    });
    this.#child = child;
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(0, 4096);
    });
    this.#started = new Promise((resolve) => {
      const timer = setTimeout(() => this.#end('its process does not start'), START_LIMIT);
      child.on('message', (message: Reply | 'ready') => {
        if (message === 'ready') {
          clearTimeout(timer);
          resolve();
        } else this.#take(message.result);
      });
      child.on('error', (error) => this.#end(error.message));
      child.on('close', (code, killedBy) => {
        clearTimeout(timer);
        const why = /panicked at [^\n]*\n([^\n]+)/.exec(this.#complaint)?.[1];
        this.#end(why ?? `its process ended with ${killedBy ?? code}`);
        resolve();
      });
    });
  }

  async give(call: Call): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => (this.#answer = resolve));
    await this.#started;
    const timer = setTimeout(
      () => this.#end(`it takes longer than ${Math.round(call.limit / 1000)} s`),
      call.limit,
    );
    if (!this.#ended) this.#child.send(call, (error) => error && this.#end(error.message));
    return answer.finally(() => clearTimeout(timer));
  }

  #take(result: Answer): void {
    this.#answer?.(result);
    this.#answer = undefined;
  }

  #end(error: string): void {
    if (engines === this) engines = undefined;
    this.#ended = true;
    this.#child.kill('SIGKILL');
    this.#take({ error, died: true });
  }
}

/** The tokenizers that are in use, by their keys. */
const jsons = new Map<number, string>();
let engines: Engines | undefined;
let queue: Promise<void> = Promise.resolve();

port.on('message', (call: Call) => {
  queue = queue.then(async () => {
    const reply: Reply = { call: call.call, result: await follow(call) };
    port.postMessage(reply);
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  });
});

async function follow(call: Call): Promise<Answer> {
  const { order } = call;
  if (order.do === 'unload') {
    jsons.delete(order.key);
    return engines?.loaded.delete(order.key) ? engines.give(call) : { done: true };
  }
  if (order.do === 'load') return load(call, order);
  const json = jsons.get(order.key)!;
  if (!engines?.loaded.has(order.key)) {
    const result = await load({ ...call, limit: START_LIMIT }, { do: 'load', key: order.key, json });
    if (isFailure(result)) return result;
  }
  return engines!.give(call);
}

async function load(call: Call, order: Order & { do: 'load' }): Promise<Answer> {
  engines ??= new Engines();
  const { loaded } = engines;
  const result = await engines.give({ ...call, order });
  if (!isFailure(result)) {
    jsons.set(order.key, order.json);
    loaded.add(order.key);
  }
  return result;
}
