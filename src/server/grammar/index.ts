/** Answers that are JSON of a schema: of each next token, whether the schema's grammar allows it. */

import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Tokenizer } from '../../tokenizer/index.js';
import { startThread } from '../../util/thread.js';
import { ApiError } from '../errors.js';
import type { GrammarOrder, GrammarReply, GrammarTokens } from './protocol.js';
import { schemaFault } from './schema.js';

/** Milliseconds that a schema may take. */
const LIMIT = 20_000;

const WORKER = new URL(`./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** The tokens that a model has logits for, and those that end an answer. */
interface Over {
  readonly vocabulary: number;
  readonly stops: readonly number[];
}

/** Any object. */
const OBJECT = '{"type":"object"}';

/** The grammar of one answer. */
export class Grammar {
  private next: Promise<Int32Array | undefined>;

  constructor(
    private readonly thread: Thread,
    private readonly matcher: number,
    first: Int32Array | undefined,
  ) {
    this.next = Promise.resolve(first);
  }

  /** Forbids what the grammar does not allow. */
  async apply(logits: Float32Array): Promise<void> {
    const mask = await this.next;
    if (!mask) return;
    for (let id = 0; id < logits.length; id++)
      if (((mask[id >> 5]! >>> (id & 31)) & 1) === 0) logits[id] = -Infinity;
  }

  /** The token that was chosen. */
  chosen(token: number): void {
    this.next = this.thread.ask({ do: 'accept', matcher: this.matcher, token });
    // Its fault is told where the next token is chosen.
    this.next.catch(() => undefined);
  }

  end(): void {
    this.thread.end(this.matcher);
  }
}

/** Of one server. */
export class Grammars {
  private thread: Thread | undefined;

  /**
   * The grammar of an answer. Rejects with ApiError for a schema that cannot be held to.
   * @param schema a JSON Schema; absent: any object
   * @param param the field of the request that asks for it
   */
  async begin(
    tokenizer: Tokenizer,
    over: Over,
    { schema, param }: { readonly schema?: object; readonly param: string },
  ): Promise<Grammar> {
    const fault = schema && schemaFault(schema);
    if (fault !== undefined) throw new ApiError(400, `the schema cannot be held to: ${fault}`, { param });
    const thread = (this.thread ??= new Thread());
    try {
      return await thread.begin(tokenizer, over, schema);
    } catch (error) {
      // Its library may be in any state; answers that have begun end with it.
      if (this.thread === thread) this.thread = undefined;
      thread.retire();
      const why = error instanceof Error ? error.message : String(error);
      throw new ApiError(400, `the schema cannot be held to: its grammar is not made (${why})`, { param });
    }
  }

  /** Once no answer grows any more. */
  close(): void {
    this.thread?.terminate();
  }
}

class Thread {
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly waiting = new Map<
    number,
    { resolve: (mask: Int32Array | undefined) => void; reject: (error: Error) => void }
  >();
  private readonly numbers = new Map<
    Tokenizer,
    { readonly number: number; readonly told: Promise<unknown> }
  >();
  private readonly matchers = new Set<number>();
  private calls = 0;
  private complaint: string | undefined;
  private isRetired = false;
  private death: Error | undefined;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.worker = startThread(WORKER, {
      ...{ workerData: { port: port2 }, transferList: [port2], stdout: true, stderr: true },
    });
    // The library's last words before it ends: '[FATAL] FILE:LINE: why'.
    this.worker.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaint = /\[FATAL\] \S+ ([^\n]+)/.exec(text)?.[1] ?? this.complaint;
    });
    this.worker.unref();
    port1.on('message', ({ call, mask, error }: GrammarReply) => {
      const asked = this.waiting.get(call);
      this.waiting.delete(call);
      if (error === undefined) asked?.resolve(mask);
      else asked?.reject(new Error(error));
    });
    port1.unref();
    this.worker.on('error', (error) => this.die(error instanceof Error ? error : new Error(String(error))));
    this.worker.on('exit', () => this.die(new Error('its thread has ended')));
  }

  async begin(tokenizer: Tokenizer, over: Over, schema: object | undefined): Promise<Grammar> {
    const there = this.numbers.get(tokenizer) ?? {
      number: this.numbers.size,
      told: this.ask({ do: 'tokens', tokens: this.numbers.size, of: tokensOf(tokenizer, over) }),
    };
    this.numbers.set(tokenizer, there);
    await there.told;
    const matcher = ++this.calls;
    this.matchers.add(matcher);
    const late = setTimeout(() => {
      this.die(new Error(`it takes longer than ${LIMIT / 1000} s`));
      void this.worker.terminate();
    }, LIMIT);
    const isOpen = schema === undefined;
    const text = isOpen ? OBJECT : JSON.stringify(schema);
    try {
      const mask = await this.ask({ do: 'begin', tokens: there.number, matcher, schema: text, isOpen });
      return new Grammar(this, matcher, mask);
    } catch (error) {
      this.matchers.delete(matcher);
      // What it says goes another way than its answers.
      await new Promise(setImmediate);
      throw this.complaint === undefined ? error : new Error(this.complaint, { cause: error });
    } finally {
      clearTimeout(late);
    }
  }

  ask(order: GrammarOrder): Promise<Int32Array | undefined> {
    if (this.death) return Promise.reject(this.death);
    const call = ++this.calls;
    this.port.postMessage({ call, order });
    return new Promise((resolve, reject) => this.waiting.set(call, { resolve, reject }));
  }

  end(matcher: number): void {
    this.matchers.delete(matcher);
    this.ask({ do: 'end', matcher }).catch(() => undefined);
    this.leave();
  }

  /** Takes no more, and ends with the last of its answers. */
  retire(): void {
    this.isRetired = true;
    this.leave();
  }

  /** Whoever still asks is told that it has ended. */
  terminate(): void {
    void this.worker.terminate();
  }

  private leave(): void {
    if (this.isRetired && this.matchers.size === 0) this.terminate();
  }

  private die(error: Error): void {
    this.death ??= error;
    for (const { reject } of this.waiting.values()) reject(this.death);
    this.waiting.clear();
  }
}

function tokensOf(tokenizer: Tokenizer, { vocabulary, stops }: Over): GrammarTokens {
  const tokens = Array.from({ length: vocabulary }, (_, id) =>
    tokenizer.isSpecial(id) ? '' : (tokenizer.idToToken(id) ?? ''),
  );
  // The library's third kind knows no signs for spaces.
  return { tokens, spelling: tokenizer.spelling === 'byte_level' ? 'byte_level' : 'byte_fallback', stops };
}
