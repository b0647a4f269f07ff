/**
 * A program whose worker_threads each make a `cpu` backend and generate, as its first argument lists them; its main thread does so after
 * them. Each prints its answers as a line of JSON, but for those that are ended on the way.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createBackend } from '../../src/backends/select.js';
import { generate } from '../../src/generate/generate.js';
import { loadModel } from '../../src/models/load.js';
import { Tokenizer } from '../../src/tokenizer/index.js';

export interface Part {
  readonly threads: number;
  /** Milliseconds after which it starts. */
  readonly after: number;
  /** Whether it is ended as soon as it computes. */
  readonly ended?: boolean;
}

const MODEL = 'examples/model';

/** A worker_thread does not inherit the loader of TypeScript in every Node.js. */
const ENTRY = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => {
  register();
  return import(${JSON.stringify(import.meta.url)});
})`;

async function answers(threads: number, begun: () => void): Promise<string> {
  const { backend } = await createBackend('cpu', { threads });
  const tokenizer = Tokenizer.load(MODEL);
  const model = await loadModel(backend, MODEL);
  const prompts = Array.from({ length: 8 }, (_, i) => ({ index: i, ids: tokenizer.encode(`post ${i} is`) }));
  const options = { max_new_tokens: 24, batch_size: 8, temperature: 0, stopTokens: [] };
  const found: number[][] = [];
  const all = generate(model, prompts, { ...options, onToken: begun });
  for await (const { index, tokens } of all) found[index] = tokens;
  model.dispose();
  return JSON.stringify(found);
}

function run({ threads, after, ended }: Part): Promise<void> {
  return new Promise((done, fail) => {
    setTimeout(() => {
      const worker = new Worker(ENTRY, { eval: true, workerData: threads });
      worker.on('message', (text: string) => {
        if (text === '') void (ended && worker.terminate());
        else console.log(text);
      });
      worker.on('error', fail);
      worker.on('exit', () => done());
    }, after);
  });
}

if (isMainThread) {
  await Promise.all((JSON.parse(process.argv[2]!) as Part[]).map(run));
  console.log(await answers(2, () => undefined));
} else {
  let begun = false;
  const text = await answers(workerData as number, () => {
    if (!begun) parentPort!.postMessage('');
    begun = true;
  });
  parentPort!.postMessage(text);
}
