/**
 * Tokenizers by the Rust library, in a process of their own (process.ts), one for each thread that has any. A caller waits for an answer or
 * takes a promise of it.
 */
import { extname } from 'node:path';
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { startThread } from '../../util/thread.js';
import {
  isFailure,
  type Call,
  type Encoded,
  type Failure,
  type Order,
  type Reply,
  type Result,
  type Texts,
} from './protocol.js';

export type { Encoded, Texts } from './protocol.js';

/** A text, or a table, that the engine gave up on: its process died over it, or it took too long. */
export class EngineDeath extends Error {}

/** Milliseconds that an order may take: far more than was ever seen, for so many characters. */
const limitFor = (characters: number): number => 20_000 + characters / 50;

/** The process may have to start first; a bridge that does not answer then never will. */
const GRACE = 150_000;

/** A loaded tokenizer.json. */
export class EngineHandle {
  private constructor(
    private readonly key: number,
    /** The ids of the added tokens, in the file's order. */
    readonly added: readonly (number | undefined)[],
  ) {
    unused.register(this, key);
  }

  /** Throws Error for a text that is no tokenizer.json of a known kind. */
  static load(json: string): EngineHandle {
    const key = ++keys;
    const { added } = service().wait({ do: 'load', key, json }, limitFor(json.length)) as {
      added: (number | undefined)[];
    };
    return new EngineHandle(key, added);
  }

  /** Throws EngineDeath. */
  encode(texts: Texts): Encoded {
    return service().wait(this.encoding(texts), limitOf(texts.texts)) as Encoded;
  }

  /** Rejects with EngineDeath. */
  async encodeLater(texts: Texts): Promise<Encoded> {
    return (await service().later(this.encoding(texts), limitOf(texts.texts))) as Encoded;
  }

  /** Throws EngineDeath. Ids that it does not know give nothing. */
  decode(all: readonly (readonly number[])[], skip: boolean): string[] {
    return (service().wait(this.decoding(all, skip), limitOf(all)) as { texts: string[] }).texts;
  }

  /** Rejects with EngineDeath. */
  async decodeLater(all: readonly (readonly number[])[], skip: boolean): Promise<string[]> {
    return ((await service().later(this.decoding(all, skip), limitOf(all))) as { texts: string[] }).texts;
  }

  private encoding(texts: Texts): Order {
    return { do: 'encode', key: this.key, ...texts };
  }

  private decoding(all: readonly (readonly number[])[], skip: boolean): Order {
    return { do: 'decode', key: this.key, all, skip };
  }
}

const limitOf = (all: readonly (string | readonly number[])[]): number =>
  limitFor(all.reduce((sum, { length }) => sum + length, 0));

let keys = 0;
const unused = new FinalizationRegistry((key: number) => {
  service()
    .later({ do: 'unload', key }, GRACE)
    .catch(() => undefined);
});

/** The bridge stands beside this file: .js in the package, .ts where the sources run. */
const BRIDGE = new URL(`./bridge${extname(import.meta.url)}`, import.meta.url);

class Service {
  readonly #port: MessagePort;
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  readonly #pending = new Map<number, (reply: Reply) => void>();
  #calls = 0;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    const worker = startThread(BRIDGE, {
      workerData: { port: port2, signal: this.#signal },
      transferList: [port2],
    });
    worker.unref();
    this.#port = port1;
    port1.on('message', (reply: Reply) => this.#deliver(reply));
    port1.unref();
  }

  wait(order: Order, limit: number): Result {
    let answer: Reply | undefined;
    this.#give(order, limit, (reply) => (answer = reply));
    const end = Date.now() + limit + GRACE;
    for (;;) {
      const seen = Atomics.load(this.#signal, 0);
      for (let got; (got = receiveMessageOnPort(this.#port));) this.#deliver(got.message as Reply);
      if (answer) return resultOf(answer);
      if (Atomics.wait(this.#signal, 0, seen, Math.max(0, end - Date.now())) === 'timed-out')
        throw new EngineDeath('its thread does not answer');
    }
  }

  later(order: Order, limit: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#port.ref();
      this.#give(order, limit, (reply) => {
        if (isFailure(reply.result)) reject(errorOf(reply.result));
        else resolve(reply.result);
      });
    });
  }

  #give(order: Order, limit: number, take: (reply: Reply) => void): void {
    const call: Call = { call: ++this.#calls, order, limit };
    this.#pending.set(call.call, take);
    this.#port.postMessage(call);
  }

  #deliver(reply: Reply): void {
    const take = this.#pending.get(reply.call);
    this.#pending.delete(reply.call);
    // Whichever answer was the last: nobody waits for more.
    if (this.#pending.size === 0) this.#port.unref();
    take?.(reply);
  }
}

function resultOf({ result }: Reply): Result {
  if (isFailure(result)) throw errorOf(result);
  return result;
}

const errorOf = ({ died, error }: Failure): Error => (died ? new EngineDeath(error) : new Error(error));

let started: Service | undefined;
const service = (): Service => (started ??= new Service());
