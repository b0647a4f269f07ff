/**
 * The server under load, beside the same work without it: so many clients, each asking again as soon as it has its answer, for so long. Every
 * greedy answer is compared with the one that its prompt gets alone.
 *
 *   node --import tsx scripts/bench-serve.ts [--model examples/model] [--clients 64] [--seconds 60] [--device cpu] [--adapter DIR]
 *     [--prompt-tokens 40] [--new-tokens 40] [--stream]
 */

import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'examples/model' },
    clients: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '60' },
    device: { type: 'string', default: 'cpu' },
    'prompt-tokens': { type: 'string', default: '40' },
    'new-tokens': { type: 'string', default: '40' },
    'load-in-4bit': { type: 'boolean', default: false },
    stream: { type: 'boolean', default: false },
  },
});
const [clients, seconds, promptTokens, newTokens] = (
  ['clients', 'seconds', 'prompt-tokens', 'new-tokens'] as const
).map((name) => Number(values[name])) as [number, number, number, number];
const PROGRAM = ['dist/cli/main.js'];
const PROMPTS = 200;

interface Reply {
  readonly text: string;
  readonly tokens: number;
  /** Milliseconds to the first byte of the body, and to the end. */
  readonly first: number;
  readonly whole: number;
}

async function serve(): Promise<{ url: string; end: () => Promise<void> }> {
  const child = spawn(
    process.execPath,
    [
      ...[
        ...PROGRAM,
        'serve',
        values.model,
        '--port',
        '0',
        '--device',
        values.device,
        '--served-model-name',
        'm',
      ],
      ...['--max-num-seqs', String(clients), '--max-model-len', String(promptTokens + newTokens + 1)],
      ...(values['load-in-4bit'] ? ['--load-in-4bit'] : []),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const url = await new Promise<string>((resolve, reject) => {
    let shown = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
      const found = /at (http:\S+)\/v1/.exec(shown);
      if (found) resolve(found[1]!);
    });
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return {
    url,
    async end() {
      const ended = new Promise((resolve) => child.on('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

interface Prompt {
  readonly ids: readonly number[];
  readonly alone: string;
}

/** Prompts whose answers do not end before their time, as those of `bench` never do, and their answers alone. */
async function prompts(client: Client): Promise<Prompt[]> {
  const found: Prompt[] = [];
  for (let i = 0; found.length < PROMPTS; i++) {
    const ids = promptOf(i);
    const { text, tokens } = await client.ask(ids);
    if (tokens === newTokens) found.push({ ids, alone: text });
    if (i > 20 * PROMPTS) throw new Error('answers of this model end too early: ask for fewer --new-tokens');
  }
  return found;
}

/** Ids that differ from prompt to prompt. */
const promptOf = (i: number): number[] =>
  Array.from({ length: promptTokens }, (_, k) => 3 + ((i * 7919 + k * 104729 + i * k) % 1000));

/** Requests over a connection that stays: as little work for a client as there can be, for it is done by the processors that are measured. */
class Client {
  private readonly socket: Socket;
  private text = '';
  private first = 0;
  private reply:
    { readonly resolve: (text: string) => void; readonly reject: (error: Error) => void } | undefined;

  constructor(private readonly url: URL) {
    this.socket = connect(Number(url.port), url.hostname).setEncoding('utf8').setNoDelay();
    this.socket.on('data', (part: string) => this.take(part));
    this.socket.on('error', (error) => this.reply?.reject(error));
    this.socket.on('close', () => this.reply?.reject(new Error('the connection was closed')));
  }

  async ask(prompt: readonly number[]): Promise<Reply> {
    const body = JSON.stringify({
      ...{ model: 'm', prompt, max_tokens: newTokens, temperature: 0 },
      ...(values.stream && { stream: true, stream_options: { include_usage: true } }),
    });
    const head = `POST /v1/completions HTTP/1.1\r\nhost: ${this.url.host}\r\ncontent-type: application/json\r\n`;
    const began = performance.now();
    [this.text, this.first] = ['', 0];
    const text = await new Promise<string>((resolve, reject) => {
      this.reply = { resolve, reject };
      this.socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
    });
    this.reply = undefined;
    return { ...read(text), first: this.first - began, whole: performance.now() - began };
  }

  end(): void {
    this.socket.destroy();
  }

  /** A body has its length, or comes in chunks; all is ASCII but for what the model writes, whose length in bytes is looked at once. */
  private take(part: string): void {
    this.text += part;
    const body = this.text.indexOf('\r\n\r\n') + 4;
    if (body < 4 || this.text.length === body) return;
    if (this.first === 0) this.first = performance.now();
    const length = /^content-length: (\d+)/im.exec(this.text.slice(0, body))?.[1];
    const isWhole =
      length === undefined
        ? this.text.endsWith('0\r\n\r\n')
        : Buffer.byteLength(this.text.slice(body)) >= Number(length);
    if (!isWhole) return;
    const [status] = /\d{3}/.exec(this.text) ?? ['no HTTP'];
    if (status === '200') this.reply?.resolve(this.text.slice(body));
    else this.reply?.reject(new Error(`${status}: ${this.text.slice(body)}`));
  }
}

interface Chunk {
  readonly choices: readonly { readonly text: string }[];
  readonly usage?: { readonly completion_tokens: number };
}

function read(text: string): { text: string; tokens: number } {
  const parts = values.stream
    ? Array.from(text.matchAll(/^data: (\{.*)$/gm), ([, event]) => JSON.parse(event!) as Chunk)
    : [JSON.parse(text) as Chunk];
  return {
    text: parts.map(({ choices }) => choices[0]?.text ?? '').join(''),
    tokens: parts.at(-1)!.usage!.completion_tokens,
  };
}

const percentile = (all: readonly number[], share: number): number =>
  [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(share * all.length))]!;

async function main(): Promise<void> {
  const { url, end } = await serve();
  const first = new Client(new URL(url));
  const all = await prompts(first);
  first.end();
  const stop = performance.now() + 1000 * seconds;
  const replies: Reply[] = [];
  let [asked, wrong, failed] = [0, 0, 0];
  await Promise.all(
    Array.from({ length: clients }, async () => {
      let client = new Client(new URL(url));
      while (performance.now() < stop) {
        const { ids, alone } = all[asked++ % PROMPTS]!;
        try {
          const reply = await client.ask(ids);
          replies.push(reply);
          if (reply.text !== alone) wrong++;
        } catch (error) {
          failed++;
          console.error(String(error));
          client.end();
          client = new Client(new URL(url));
        }
      }
      client.end();
    }),
  );
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const lag = Number(/^nodejs_eventloop_lag_max_seconds (\S+)/m.exec(metrics)?.[1]);
  await end();
  const tokens = replies.reduce((n, reply) => n + reply.tokens, 0);
  console.log(`${replies.length} answers, ${failed} failed, ${wrong} unlike the lone one`);
  console.log(`${Math.round(tokens / seconds)} tok/s of answers by ${clients} clients in ${seconds} s`);
  for (const [what, all] of [
    ['first byte', replies.map(({ first }) => first)],
    ['whole answer', replies.map(({ whole }) => whole)],
  ] as const)
    console.log(
      `${what}: median ${percentile(all, 0.5).toFixed(0)} ms, 95 % ${percentile(all, 0.95).toFixed(0)} ms`,
    );
  console.log(
    `event loop: held up for ${(1000 * lag).toFixed(0)} ms at the most since it was last looked at`,
  );
}

await main();
