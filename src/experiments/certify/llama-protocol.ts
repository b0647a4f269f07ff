/** What passes between a certificate and the process in which llama.cpp reads the exported file. */

/** Told first. */
export interface LlamaStart {
  /** The file URL of node-llama-cpp's module. */
  readonly module: string;
  readonly path: string;
  /** Tokens of the longest text. */
  readonly context: number;
  /** By llama.cpp's own choice of a GPU; else on the CPU. */
  readonly gpu: boolean;
  readonly threads: number;
}

/** One at a time, each answered by an end or a fault. */
export type LlamaOrder =
  | { readonly ids: readonly number[]; readonly greedy: number; readonly stopTokens: readonly number[] }
  | { readonly ids: readonly number[]; readonly places: readonly number[] }
  /** Cut by the file's own tokenizer; `special`: with what it puts around a text. */
  | { readonly text: string; readonly special: boolean };

export type LlamaReply =
  /** It has read the file; of which release of llama.cpp, and where it computes. */
  | { readonly type: 'ready'; readonly release: string; readonly device: string }
  | { readonly type: 'tokens'; readonly tokens: readonly number[] }
  /** Of a place. */
  | { readonly type: 'probabilities'; readonly values: Float32Array }
  | { readonly type: 'end' }
  | { readonly type: 'fault'; readonly message: string };
