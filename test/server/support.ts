/** A server over the small model of the repository, in this process, and what it should answer. */

import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { attachLora } from '../../src/adapters/lora.js';
import { saveAdapter } from '../../src/adapters/peft.js';
import { generate } from '../../src/generate/generate.js';
import { loadModel } from '../../src/models/load.js';
import type { CausalLM } from '../../src/models/model.js';
import { createApiServer, Engine, type EngineOptions } from '../../src/server/index.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { philox4x32 } from '../../src/util/philox.js';
import { backend, LORA } from '../support/tiny.js';

const MODEL = 'examples/model';
export const KEY = 'sk-test';

export interface Serving {
  readonly url: string;
  readonly client: OpenAI;
  readonly engine: Engine;
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  readonly faults: unknown[];
  /** The folder of the adapter 'tuned', whose answers are far from the base's. */
  readonly adapter: string;
  close(): Promise<void>;
}

export interface ServingOptions extends Partial<EngineOptions> {
  readonly apiKeys?: readonly string[];
  readonly origins?: readonly string[];
  readonly timeout?: number;
  readonly maxBytes?: number;
  readonly updatesAdapters?: boolean;
}

export async function serving(options: ServingOptions = {}): Promise<Serving> {
  const model = await loadModel(await backend(), MODEL);
  const root = mkdtempSync(join(tmpdir(), 'westwind-server-'));
  const adapter = join(root, 'tuned');
  await strangeAdapter(model, adapter);
  const engine = new Engine(model, {
    ...{
      name: 'base',
      folder: MODEL,
      max_num_seqs: 4,
      max_model_len: 256,
      max_queue: 64,
      turns: { prompts: 16, answers: 2 },
    },
    ...options,
  });
  engine.add('tuned', adapter);
  const faults: unknown[] = [];
  const {
    apiKeys = [KEY],
    origins = [],
    timeout = 60,
    maxBytes = 1 << 20,
    updatesAdapters = false,
  } = options;
  const server = createApiServer(engine, {
    ...{ apiKeys, origins, timeout, maxBytes, updatesAdapters },
    onFault: (error) => faults.push(error),
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...{ url, engine, model, adapter, faults, tokenizer: Tokenizer.load(MODEL) },
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 }),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      await engine.close(0);
      server.closeAllConnections();
      await closed;
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function strangeAdapter(model: CausalLM, folder: string): Promise<void> {
  let stream = 0;
  const source = (_module: string, _tensor: string, shape: readonly number[]): Float32Array => {
    const own = stream++;
    const length = shape.reduce((a, b) => a * b, 1);
    return Float32Array.from(
      { length },
      (_, i) => (philox4x32([i, own, 0, 0], [7, 7])[0] / 2 ** 32 - 0.5) / 4,
    );
  };
  const adapter = attachLora(model, { ...LORA, target_modules: ['q_proj', 'down_proj'] }, { source });
  await saveAdapter(adapter, folder, MODEL);
  adapter.dispose();
}

/** A prompt's greedy answer, asked alone. */
export async function alone(
  { model, tokenizer, engine }: Serving,
  ids: readonly number[],
  max_new_tokens: number,
  name = 'base',
): Promise<string> {
  const { adapter, stops } = engine.find(name);
  const options = { max_new_tokens, stopTokens: stops, adapter, batch_size: 1 };
  for await (const { tokens } of generate(model, [{ index: 0, ids }], options))
    return tokenizer.decode(tokens);
  throw new Error('no answer');
}
