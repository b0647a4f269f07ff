/** The process in which llama.cpp reads an exported file, by the package node-llama-cpp: what ends it ends no more than a certificate. */

import { messageOf } from '../../util/errors.js';
import type { LlamaOrder, LlamaReply, LlamaStart } from './llama-protocol.js';

/** What is used of the package (3.21). */
interface NodeLlamaCpp {
  readonly getLlama: (options: object) => Promise<Llama>;
}
interface Llama {
  readonly gpu: string | false;
  readonly llamaCppRelease: { readonly release: string };
  loadModel(options: { readonly modelPath: string }): Promise<LlamaModel>;
}
interface LlamaModel {
  readonly tokens: {
    readonly bos: number | null;
    readonly eos: number | null;
    readonly shouldPrependBosToken: boolean;
    readonly shouldAppendEosToken: boolean;
  };
  tokenize(text: string, specialTokens: boolean): readonly number[];
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
}
interface LlamaSequence {
  readonly nextTokenIndex: number;
  clearHistory(): Promise<void>;
  adaptStateToTokens(tokens: readonly number[], allowShift: boolean): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
  controlledEvaluate(
    input: readonly (number | readonly [number, object])[],
  ): Promise<readonly ({ readonly next: { readonly probabilities?: Map<number, number> } } | undefined)[]>;
}

/** Probabilities that are held at once: they come as maps, of some 50 bytes each. */
const MOST_HELD = 1 << 22;
/** Tokens that llama.cpp takes in one pass, as it does by default. */
const BATCH = 512;

/** A file that was read. */
interface Opened {
  readonly model: LlamaModel;
  readonly sequence: LlamaSequence;
}

async function open(start: LlamaStart): Promise<Opened> {
  const { getLlama } = (await import(start.module)) as NodeLlamaCpp;
  const { threads } = start;
  const llama = await getLlama({
    ...{ build: 'never', skipDownload: true, progressLogs: false, logLevel: 'error' },
    ...{ gpu: start.gpu ? 'auto' : false, maxThreads: threads },
  });
  const model = await llama.loadModel({ modelPath: start.path });
  // Keys and values as they are: what is measured is the file.
  const context = await model.createContext({
    ...{ contextSize: start.context + 1, batchSize: BATCH, flashAttention: false, threads },
    ...{ experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' },
  });
  await tell({ type: 'ready', release: llama.llamaCppRelease.release, device: llama.gpu || 'cpu' });
  return { model, sequence: context.getSequence() };
}

/** As llama.cpp's own programs do it: special tokens that stand in the text are such. */
function cut(model: LlamaModel, text: string, special: boolean): number[] {
  const { bos, eos, shouldPrependBosToken: begins, shouldAppendEosToken: ends } = model.tokens;
  return [
    ...(special && begins && bos !== null ? [bos] : []),
    ...model.tokenize(text, true),
    ...(special && ends && eos !== null ? [eos] : []),
  ];
}

async function answer({ model, sequence }: Opened, order: LlamaOrder): Promise<void> {
  if ('text' in order) return tell({ type: 'tokens', tokens: cut(model, order.text, order.special) });
  if ('greedy' in order) {
    const tokens: number[] = [];
    await sequence.clearHistory();
    for await (const token of sequence.evaluate(order.ids, { temperature: 0, yieldEogToken: true })) {
      tokens.push(token);
      if (tokens.length === order.greedy || order.stopTokens.includes(token)) break;
    }
    return tell({ type: 'tokens', tokens });
  }
  const { ids, places } = order;
  // What stands there of the text is not run again.
  await sequence.adaptStateToTokens(ids.slice(0, places[0]! - 1), false);
  const wanted = new Set(places.map((place) => place - 1));
  const last = places.at(-1)!;
  let step = BATCH;
  // The first one tells how many tokens there are.
  for (let first = sequence.nextTokenIndex, end = places[0]!; first < last; first = end, end = first + step) {
    const part = ids.slice(first, Math.min(end, last));
    const asked = part.map((id, i) =>
      wanted.has(first + i)
        ? ([id, { generateNext: { probabilities: true, options: { temperature: 0 } } }] as const)
        : id,
    );
    for (const result of await sequence.controlledEvaluate(asked)) {
      const probabilities = result?.next.probabilities;
      if (!probabilities) continue;
      step = Math.max(1, Math.min(BATCH, Math.floor(MOST_HELD / probabilities.size)));
      const values = new Float32Array(probabilities.size);
      for (const [token, probability] of probabilities) values[token] = Math.log(probability);
      await tell({ type: 'probabilities', values });
    }
  }
}

function tell(reply: LlamaReply): Promise<void> {
  return new Promise((done) => {
    // The other end may be gone; then nobody is left to tell.
    if (process.connected) process.send!(reply, undefined, undefined, () => done());
    else done();
  });
}

let opened: Opened | undefined;

async function work(message: LlamaStart | LlamaOrder): Promise<void> {
  try {
    if ('module' in message) opened = await open(message);
    else {
      await answer(opened!, message);
      await tell({ type: 'end' });
    }
  } catch (error) {
    await tell({ type: 'fault', message: messageOf(error) });
  }
}

// Ctrl-C reaches the whole group; the parent decides what it means.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
process.on('message', (message) => void work(message as LlamaStart | LlamaOrder));
