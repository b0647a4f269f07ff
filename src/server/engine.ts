/**
 * A base model with adapters, each a model of its own to clients, behind one session: all that are asked at a time go through it together.
 * So many requests may wait; more are refused until others are done.
 */

import { holdPairs } from '../adapters/call.js';
import { readAdapter } from '../adapters/peft.js';
import type { LoraAdapter } from '../adapters/lora.js';
import { Session, type Turns } from '../generate/session.js';
import type { SamplingOptions } from '../generate/sampler.js';
import { stopTokens } from '../generate/stop-tokens.js';
import { tokenizerOf } from '../generate/tokenizer-of.js';
import { readsByEncoder, type CausalLM } from '../models/model.js';
import { ChatPrompts } from '../tasks/index.js';
import { GrowingText, Tokenizer } from '../tokenizer/index.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { ApiError } from './errors.js';
import { Grammars, type Grammar } from './grammar/index.js';

/** What a model is called, and how much of it is asked at a time. Names are vLLM's where it has them. */
export interface EngineOptions {
  /** What clients call the base model. */
  readonly name: string;
  /** The base model's. */
  readonly folder: string;
  /** Answers at once. */
  readonly max_num_seqs: number;
  /** Tokens of a prompt and its answer together. */
  readonly max_model_len: number;
  /** Answers that may wait for a place. */
  readonly max_queue: number;
  /** How prompts and answers take turns; by default by the device. */
  readonly turns?: Turns;
  /** In the place of the models' own. */
  readonly chat_template?: string | undefined;
}

/** A model that clients can name. */
export interface Served {
  readonly name: string;
  readonly created: number;
  /** Of an adapter: the base. */
  readonly parent?: string;
  readonly tokenizer: Tokenizer;
  readonly prompts: ChatPrompts;
  readonly stops: readonly number[];
  readonly adapter: LoraAdapter | null;
}

/** One answer that is wanted. */
export interface Asked {
  readonly served: Served;
  readonly ids: readonly number[];
  /** Which of several to the same prompt. */
  readonly choice: number;
  readonly max_new_tokens: number;
  readonly sampling: SamplingOptions;
  /** Texts that end it, of which nothing is told. */
  readonly ends: readonly string[];
  /** What ends it where that is no token of the model's: of chats. */
  readonly endsWith?: ((tokens: readonly number[]) => boolean) | undefined;
  readonly stopTokens: readonly number[];
  readonly onLogits?: ((logits: Float32Array) => Promise<void>) | undefined;
  readonly signal: AbortSignal;
  readonly onToken: (token: number) => void;
  /** Is told pieces of the text as it grows. */
  readonly onText?: ((text: string) => void) | undefined;
}

/** One base model and its adapters. */
export class Engine {
  /** The base first. */
  private readonly models = new Map<string, Served>();
  private readonly session: Session;
  private readonly grammars = new Grammars();
  /** Answers that are wanted and not there. */
  private wanted = 0;
  private isClosing = false;

  /** Takes the memory of the cache. Throws UserError for a chat template that cannot be parsed. */
  constructor(
    private readonly model: CausalLM,
    private readonly options: EngineOptions,
  ) {
    const { name, folder, max_num_seqs: slots, max_model_len, turns = turnsOf(model) } = options;
    const base = Tokenizer.load(folder);
    this.models.set(name, this.served(name, base, null));
    const bf16 = model.backend.activations === 'bf16';
    this.session = new Session(model, {
      ...{ slots, bf16, turns, keeps: true },
      // A decoder has room for both together; an encoder's prompts and its decoder's answers have their own.
      longest: readsByEncoder(model) ? max_model_len : max_model_len - 1,
      newTokens: readsByEncoder(model) ? max_model_len : 1,
    });
  }

  get list(): readonly Served[] {
    return [...this.models.values()];
  }

  /** Answers that grow, and those that wait for a place. */
  get load(): { readonly running: number; readonly waiting: number } {
    const running = Math.min(this.wanted, this.options.max_num_seqs);
    return { running, waiting: this.wanted - running };
  }

  /** Throws ApiError for one that is not there. */
  find(name: string): Served {
    const served = this.models.get(name);
    if (served) return served;
    throw new ApiError(404, `there is no model '${name}': ${[...this.models.keys()].join(', ')}`, {
      ...{ param: 'model', code: 'model_not_found' },
    });
  }

  /** Works with a model, which stays until that is done, though it may be taken away meanwhile. Throws as `find`. */
  async use<T>(name: string, work: (served: Served) => Promise<T>): Promise<T> {
    const served = this.find(name);
    const letGo = served.adapter && holdPairs(served.adapter.pairs);
    try {
      return await work(served);
    } finally {
      letGo?.();
    }
  }

  /** An adapter's folder as a model. Throws UserError where it is damaged, of another base, or its name is taken. */
  add(name: string, folder: string): Served {
    if (this.models.has(name)) throw new UserError(`there is a model '${name}' already`);
    const tokenizer = tokenizerOf(this.options.folder, folder);
    const served = this.served(name, tokenizer, readAdapter(this.model, folder));
    this.models.set(name, served);
    return served;
  }

  /** Takes an adapter away; requests that it answers go on to their end. Throws ApiError for one that is not there, or the base. */
  remove(name: string): void {
    const { adapter } = this.find(name);
    if (!adapter) throw new ApiError(400, `'${name}' is the base model, which stays`);
    this.models.delete(name);
    adapter.dispose();
  }

  /** How long an answer may be. Throws ApiError where there is no room for the prompt, or for so long an answer. */
  newTokens(prompt: number, wanted: number | undefined): number {
    const { max_model_len: room } = this.options;
    const left = readsByEncoder(this.model) ? room : room - prompt;
    const why = { param: 'messages', code: 'context_length_exceeded' };
    if (prompt > room || left < 1)
      throw new ApiError(
        400,
        `the prompt has ${prompt} tokens, and there is room for ${room} with the answer`,
        why,
      );
    if (wanted !== undefined && wanted > left)
      throw new ApiError(
        400,
        `the prompt has ${prompt} tokens and the answer may have ${wanted}, but there is room for ${room} together`,
        why,
      );
    return wanted ?? left;
  }

  /** Makes room for so many answers; what is returned gives it back. Throws ApiError where too many wait, or the server is closing. */
  admit(answers: number): () => void {
    const { max_num_seqs, max_queue } = this.options;
    if (this.isClosing) throw new ApiError(503, 'the server is shutting down', { retryAfter: 5 });
    if (this.wanted + answers > max_num_seqs + max_queue)
      throw new ApiError(429, `${this.wanted} answers are being made or wait: ask again later`, {
        ...{ code: 'rate_limit_exceeded', retryAfter: 1 },
      });
    this.wanted += answers;
    return () => (this.wanted -= answers);
  }

  /** Answers; rejects with an AbortError once the signal is aborted. */
  async ask(asked: Asked): Promise<{ readonly text: string; readonly finish: 'stop' | 'length' }> {
    const { served, choice: index, onToken, onText, signal, ...request } = asked;
    const { tokenizer } = served;
    // What nobody looks at while it grows is decoded once.
    const text =
      onText || asked.ends.length > 0
        ? new GrowingText(tokenizer.stream(), asked.ends, (piece) => {
            whole += piece;
            onText?.(piece);
          })
        : undefined;
    let whole = '';
    let finish: 'stop' | 'length' = 'stop';
    const stopped = asked.ends.length > 0 ? new AbortController() : undefined;
    const either = stopped ? AbortSignal.any([signal, stopped.signal]) : signal;
    try {
      const answer = await this.session.submit({
        ...request,
        ...{ index, adapter: served.adapter, signal: either },
        onToken(token) {
          onToken(token);
          text?.push(token);
          if (text?.ended) stopped?.abort();
        },
      });
      ({ finish } = answer);
      if (!text) [whole = ''] = await tokenizer.decodeBatch([answer.tokens]);
    } catch (error) {
      if (signal.aborted || !isAbort(error, either)) throw error;
    }
    await text?.end();
    return { text: whole, finish: text?.ended ? 'stop' : finish };
  }

  /** The grammar of one answer that is to be JSON. Rejects with ApiError for a schema that cannot be held to. */
  grammar({ tokenizer, adapter }: Served, stops: readonly number[], schema?: object): Promise<Grammar> {
    const { head } = this.model;
    const { rows } = adapter?.pairs.tables?.get(head) ?? head.weight;
    return this.grammars.begin(tokenizer, { vocabulary: rows, stops }, schema);
  }

  /** Takes no more, waits for what is asked, or ends it after so many seconds. */
  async close(seconds: number): Promise<void> {
    this.isClosing = true;
    const end = Date.now() + 1000 * seconds;
    while (this.wanted > 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    await this.session.close();
    this.grammars.close();
    for (const { adapter } of this.list) adapter?.dispose();
    this.model.dispose();
  }

  private served(name: string, tokenizer: Tokenizer, adapter: LoraAdapter | null): Served {
    const { folder, name: base, chat_template } = this.options;
    const stops = stopTokens(folder, tokenizer.eosId);
    return {
      ...{ name, tokenizer, adapter, stops, created: Math.floor(Date.now() / 1000) },
      ...(adapter && { parent: base }),
      prompts: new ChatPrompts(tokenizer, stops, chat_template),
    };
  }
}

/** A device that runs ahead takes long passes as easily as short ones. */
function turnsOf({ backend }: CausalLM): Turns {
  return backend.runsAhead ? { prompts: 4096, answers: 12 } : { prompts: 512, answers: 4 };
}
