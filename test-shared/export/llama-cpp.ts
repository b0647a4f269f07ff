/**
 * llama.cpp as an independent reader, by the package node-llama-cpp, which is no dependency: `WESTWIND_TEST_LLAMA_CPP` is the folder that it
 * was installed into (`npm install --prefix FOLDER node-llama-cpp@3.21.1`), else it is looked for among this repository's packages.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import koffi from 'koffi';

/** What is used of its interface. */
export interface LlamaModel {
  tokenize(text: string, specialTokens?: boolean): number[];
  createContext(options: object): Promise<{ getSequence(): LlamaSequence; dispose(): Promise<void> }>;
  dispose(): Promise<void>;
}
interface LlamaSequence {
  evaluateWithMetadata(
    tokens: readonly number[],
    metadata: object,
    options: object,
  ): AsyncIterable<{ token: number; probabilities: Map<number, number> }>;
  clearHistory(): Promise<void>;
}
interface Llama {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
}

const require = createRequire(
  join(process.env['WESTWIND_TEST_LLAMA_CPP'] ?? join(import.meta.dirname, '../..'), 'package.json'),
);

function resolved(name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

/** Why tests that need it are skipped; undefined where it is there. */
export const missing =
  resolved('node-llama-cpp') === undefined
    ? 'node-llama-cpp is not installed (WESTWIND_TEST_LLAMA_CPP names its folder)'
    : undefined;

let llama: Promise<Llama> | undefined;

async function open(): Promise<Llama> {
  const library = (await import(pathToFileURL(resolved('node-llama-cpp')!).href)) as {
    getLlama(options: object): Promise<Llama>;
  };
  // More threads than processors spin against each other.
  return library.getLlama({
    build: 'never',
    skipDownload: true,
    gpu: false,
    logLevel: 'error',
    maxThreads: 1,
  });
}

export async function loadGguf(path: string): Promise<LlamaModel> {
  return (await (llama ??= open())).loadModel({ modelPath: path });
}

/** The greedy tokens behind a prompt, and the probabilities of the first. */
export async function continued(
  model: LlamaModel,
  prompts: readonly (readonly number[])[],
  count: number,
  lora?: string,
): Promise<{ tokens: number[]; first: Map<number, number> }[]> {
  const context = await model.createContext({
    ...{ contextSize: 128, threads: 1, flashAttention: false },
    ...{ experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' },
    ...(lora !== undefined && { lora }),
  });
  const sequence = context.getSequence();
  const answers = [];
  for (const prompt of prompts) {
    const tokens: number[] = [];
    let first = new Map<number, number>();
    await sequence.clearHistory();
    const options = { temperature: 0, yieldEogToken: true };
    for await (const next of sequence.evaluateWithMetadata(prompt, { probabilities: true }, options)) {
      if (tokens.length === 0) first = next.probabilities;
      tokens.push(next.token);
      if (tokens.length === count) break;
    }
    answers.push({ tokens, first });
  }
  await context.dispose();
  return answers;
}

/** The folder of llama.cpp's shared libraries, and the one that has its interface. */
function libraries(): { folder: string; library: ReturnType<typeof koffi.load> } {
  const main = require.resolve(`@node-llama-cpp/${process.platform}-${process.arch}`);
  const folder = join(dirname(dirname(main)), 'bins', `${process.platform}-${process.arch}`);
  return { folder, library: koffi.load(join(folder, 'libllama.v0.4.0.so')) };
}

/** Parameters as numbers: more room than any of its structures has, so that their fields behind those that are set do not matter. */
const Parameters = koffi.struct('Parameters', { ints: koffi.array('int32_t', 128) });
const Batch = koffi.struct('Batch', {
  ...{ n_tokens: 'int32_t', token: 'void*', embd: 'void*', pos: 'void*' },
  ...{ n_seq_id: 'void*', seq_id: 'void*', logits: 'void*' },
});

/** A model with an encoder, which node-llama-cpp does not run: logits behind a decoder's tokens, [vocabulary]. */
export function encoderDecoder(path: string): {
  logits(read: Int32Array, written: Int32Array): Float32Array;
  close(): void;
} {
  const { folder, library } = libraries();
  const ggml = koffi.load(join(folder, 'libggml.v0.4.0.so'));
  ggml.func('void ggml_backend_load_all_from_path(str)')(folder);
  const call = (name: string, result: unknown, parameters: unknown[]): ((...args: unknown[]) => unknown) =>
    library.func(name, result as 'void', parameters as 'void'[]) as (...args: unknown[]) => unknown;
  const defaults = (of: string): { ints: Int32Array } =>
    call(`llama_${of}_default_params`, Parameters, [])() as { ints: Int32Array };
  const model = call('llama_model_load_from_file', 'void*', ['str', Parameters])(path, defaults('model'));
  const options = defaults('context');
  // Threads; no flash attention; keys and values in F32.
  for (const [at, value] of Object.entries({ 7: 1, 8: 1, 13: 0, 26: 0, 27: 0 }))
    options.ints[Number(at)] = value;
  const context = call('llama_init_from_model', 'void*', ['void*', Parameters])(model, options);
  if (context === null) throw new Error(`llama.cpp does not open ${path}`);
  const vocab = call('llama_model_get_vocab', 'void*', ['void*'])(model);
  const size = call('llama_vocab_n_tokens', 'int32_t', ['void*'])(vocab) as number;
  const batch = call('llama_batch_get_one', Batch, ['int32_t*', 'int32_t']);
  const run = (what: 'encode' | 'decode', ids: Int32Array): void => {
    const code = call(`llama_${what}`, 'int32_t', ['void*', Batch])(context, batch(ids, ids.length));
    if (code !== 0) throw new Error(`llama_${what}: ${String(code)}`);
  };
  return {
    logits(read, written) {
      call('llama_memory_clear', 'void', ['void*', 'bool'])(
        call('llama_get_memory', 'void*', ['void*'])(context),
        true,
      );
      run('encode', read);
      run('decode', written);
      const found = call('llama_get_logits_ith', 'void*', ['void*', 'int32_t'])(context, -1);
      return Float32Array.from(koffi.decode(found, koffi.array('float', size)) as Float32Array);
    },
    close() {
      call('llama_free', 'void', ['void*'])(context);
      call('llama_model_free', 'void', ['void*'])(model);
    },
  };
}

/** llama.cpp's own quantizer. `type`: a `general.file_type`. */
export function quantizer(): (from: string, to: string, type: number) => void {
  const { library } = libraries();
  const struct = koffi.struct({
    ...{ nthread: 'int32_t', ftype: 'int', output_tensor_type: 'int', token_embedding_type: 'int' },
    ...{ allow_requantize: 'bool', quantize_output_tensor: 'bool', only_copy: 'bool', pure: 'bool' },
    ...{ keep_split: 'bool', dry_run: 'bool', imatrix: 'void*', kv_overrides: 'void*' },
    ...{ tt_overrides: 'void*', prune_layers: 'void*', max_buf_size: 'size_t' },
  });
  const defaults = library.func('llama_model_quantize_default_params', struct, []) as () => object;
  const parameters = ['str', 'str', koffi.pointer(struct)];
  const quantize = library.func('llama_model_quantize', 'uint32_t', parameters) as (
    from: string,
    to: string,
    params: object,
  ) => number;
  return (from, to, type) => {
    const code = quantize(from, to, { ...defaults(), nthread: 1, ftype: type });
    if (code !== 0) throw new Error(`llama_model_quantize: ${code}`);
  };
}
