/**
 * llama.cpp as a reader of GGUF that shares no code with what wrote the file: by node-llama-cpp, which is no dependency. It is taken from
 * the folder that WESTWIND_LLAMA_CPP names, from the project that the command is run in, or from beside this package.
 */

import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { throwIfAborted } from '../../util/abort.js';
import { environment } from '../../util/environment.js';
import { UserError } from '../../util/errors.js';
import type { LlamaOrder, LlamaReply, LlamaStart } from './llama-protocol.js';
import type { Program } from './reader.js';

const PACKAGE = 'node-llama-cpp';

/** Where the package is, and of which version; undefined where it is not installed. */
export function nodeLlamaCpp(): { readonly module: string; readonly version: string } | undefined {
  const named = environment('WESTWIND_LLAMA_CPP');
  for (const folder of [named ?? process.cwd(), fileURLToPath(new URL('.', import.meta.url))]) {
    const require = createRequire(join(folder, 'package.json'));
    let path: string;
    try {
      path = require.resolve(PACKAGE);
    } catch {
      continue;
    }
    return { module: pathToFileURL(path).href, version: versionOf(path) };
  }
  if (named !== undefined)
    throw new UserError(`WESTWIND_LLAMA_CPP: ${named} is no folder into which ${PACKAGE} was installed`);
  return undefined;
}

/** Of the package that a module is of. */
function versionOf(path: string): string {
  for (let folder = dirname(path); dirname(folder) !== folder; folder = dirname(folder)) {
    try {
      const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
      if (found['name'] === PACKAGE) return String(found['version']);
    } catch {
      // It is further up.
    }
  }
  return 'unknown';
}

/** What is kept of its complaints. */
const MOST_SAID = 2000;

/** Reads the file in a process of its own. Rejects with a UserError where llama.cpp cannot, or ends. */
export async function openLlamaCpp(
  { module, version }: { readonly module: string; readonly version: string },
  start: Omit<LlamaStart, 'module'>,
  signal: AbortSignal | undefined,
): Promise<Program> {
  const here = fileURLToPath(import.meta.url);
  const child = fork(fileURLToPath(new URL(`./worker${extname(here)}`, import.meta.url)), [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    // Not the parent's own flags: under `node -e` those would run the parent's script again.
    execArgv: extname(here) === '.ts' ? ['--import', import.meta.resolve('tsx')] : [],
    ...(signal && { signal, killSignal: 'SIGKILL' as const }),
  });
  const replies = new Replies(child, start.path, signal);
  child.send({ module, ...start });
  try {
    const ready = await replies.next();
    if (ready.type !== 'ready') throw new Error(`llama.cpp said '${ready.type}'`);
    const about = {
      name: 'llama.cpp',
      version: `${ready.release}, ${PACKAGE} ${version}, ${ready.device}`,
      independent: true,
    };
    async function* ask(order: LlamaOrder): AsyncGenerator<LlamaReply> {
      child.send(order);
      let reply = await replies.next();
      try {
        for (; reply.type !== 'end'; reply = await replies.next()) yield reply;
      } finally {
        // What nobody waits for any more is no answer to the next order.
        while (reply.type !== 'end' && !replies.failed) reply = await replies.next();
      }
    }
    return {
      about,
      async greedy(ids, count, stopTokens) {
        let tokens: readonly number[] = [];
        for await (const reply of ask({ ids, greedy: count, stopTokens }))
          if (reply.type === 'tokens') tokens = reply.tokens;
        return tokens;
      },
      async cut({ text, special }) {
        let tokens: readonly number[] = [];
        for await (const reply of ask({ text, special })) if (reply.type === 'tokens') tokens = reply.tokens;
        return tokens;
      },
      async *probabilities(ids, places) {
        if (places.length === 0) return;
        for await (const reply of ask({ ids, places }))
          if (reply.type === 'probabilities') yield reply.values;
      },
      close: () => replies.end(),
    };
  } catch (error) {
    await replies.end();
    throw error;
  }
}

/** What the process tells, in turn. */
class Replies {
  private readonly told: LlamaReply[] = [];
  private readonly ended: Promise<void>;
  private said = '';
  private death: string | undefined;
  /** It told of a fault, or is gone. */
  failed = false;
  private wake: (() => void) | undefined;

  constructor(
    private readonly child: ChildProcess,
    private readonly path: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    child.on('message', (message) => {
      this.told.push(message as LlamaReply);
      this.wake?.();
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.said = (this.said + text).slice(-MOST_SAID);
    });
    this.ended = new Promise((done) => {
      const end = (why: string): void => {
        this.death ??= why;
        this.wake?.();
        done();
      };
      child.on('error', ({ message }) => end(message));
      child.on('exit', (code, signal) =>
        end(signal === null ? `ended with code ${code}` : `was ended by ${signal}`),
      );
    });
  }

  async next(): Promise<LlamaReply> {
    while (this.told.length === 0) {
      throwIfAborted(this.signal);
      if (this.death !== undefined) throw this.fault(`its process ${this.death}`);
      await new Promise<void>((done) => (this.wake = done));
    }
    const reply = this.told.shift()!;
    if (reply.type === 'fault') throw this.fault(reply.message);
    return reply;
  }

  async end(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.ended;
  }

  private fault(why: string): UserError {
    this.failed = true;
    const last = this.said.trim().split('\n').at(-1)!;
    return new UserError(`llama.cpp cannot run ${this.path}: ${why}${last === '' ? '' : ` (${last})`}`);
  }
}
