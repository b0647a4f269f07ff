/**
 * Requests to a model that come at any time, each with its own adapter, sampling, end and signal. Sequences live in the slots of a key-value
 * cache; one that is finished gives its slot to the next that waits, at once. On a batch-invariant backend an answer is the same, bit for
 * bit, whatever runs beside it.
 */

import type { AdapterPairs } from '../ops/pass.js';
import { holdPairs, pairsOfCall, type CallAdapter } from '../adapters/call.js';
import type { KvCache } from '../models/blocks/cache.js';
import { readsByEncoder, type CausalLM } from '../models/model.js';
import { MOST_POSITIONS } from '../models/tokens.js';
import { AbortError, abortReason, isAbort, throwIfAborted } from '../util/abort.js';
import { checkWhole } from '../util/checks.js';
import { LoopWatch } from '../util/turns.js';
import { NextTokens, type Part, type Sequence } from './decode.js';
import { cacheFor, checkPrompt, commonPrefix, fillPrefix, prefillTokens, type Prompt } from './prompts.js';
import { checkSampling, type SamplingOptions } from './sampler.js';
import { LEAST_COPIED, Slots } from './slots.js';

/**
 * Of prompts so many tokens are run, in pieces where they are longer, then so many tokens of each answer that grows. Fewer of these would
 * make passes of single prompts, as they come; more would let them wait.
 */
export interface Turns {
  readonly prompts: number;
  readonly answers: number;
}

/** What a session has room for. */
export interface SessionOptions {
  /** Sequences at once. */
  readonly slots: number;
  /** Tokens of the longest prompt that there is to be room for, and of the longest answer. */
  readonly longest: number;
  readonly newTokens: number;
  /** Run in bf16 precision (`GraphOptions.precision`). */
  readonly bf16?: boolean | undefined;
  /** Tokens that prompts begin with: of those that do they are run once an adapter, not once a prompt. */
  readonly prefix?: readonly number[];
  /** For chats, whose prompts begin as others did: what stands in a slot of a prompt's beginning is not run again. */
  readonly keeps?: boolean;
  /** How prompts and answers take turns; absent: whole prompts come before anything else. */
  readonly turns?: Turns;
}

/** How long an answer may be. */
export interface AnswerEnd {
  readonly max_new_tokens: number;
  /** Tokens that end an answer; they are not part of it. */
  readonly stopTokens: readonly number[];
  /** Whether an answer ends with the last of its tokens, as where several make up its end; they are part of it. */
  readonly endsWith?: ((tokens: readonly number[]) => boolean) | undefined;
}

/** A prompt and how it is to be answered; its `index` and the sampling's seed decide its draws. */
export interface Request extends Prompt, AnswerEnd {
  readonly sampling: SamplingOptions;
  /** The adapter to answer with; null: none; absent: the one that is attached to the model when it is submitted. */
  readonly adapter?: CallAdapter | undefined;
  /** Ends the request: its promise rejects with an AbortError; the others go on. */
  readonly signal?: AbortSignal | undefined;
  /** Sees the logits that the next token is chosen by, f32 [vocabulary], and may change them: -Infinity forbids a token. */
  readonly onLogits?: ((logits: Float32Array) => void | Promise<void>) | undefined;
  /** Sees each token of the answer as it is chosen. */
  readonly onToken?: ((token: number) => void) | undefined;
}

/** What a model wrote for one prompt. */
export interface Answer {
  readonly index: number;
  /** New tokens, without the stop token; with those of an end that has several. */
  readonly tokens: number[];
  readonly finish: 'stop' | 'length';
}

/** A request that is not answered yet. */
interface Pending extends Request {
  readonly pairs: AdapterPairs;
  /** How many of its tokens are the session's prefix, or stand in its slot from before. */
  readonly prefix: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

interface Growing extends Sequence {
  readonly prompt: Pending;
  readonly tokens: number[];
  /** Tokens of the prompt that stand in its slot. */
  done: number;
  /** What the request's own function threw. */
  fault?: { readonly error: unknown };
}

type EnteringPart = Part & { readonly sequence: Growing };

/** Milliseconds for which passes may keep the event loop from its turn. */
const TURN = 10;

/** Adapters without a request that are kept with what is recorded of them: those that were asked for last. */
const MOST_IDLE = 4;

/** Answers prompts as they come, those that are there at a time together; `close` it to give back what it took. */
export class Session {
  private readonly cache: KvCache;
  private readonly next: NextTokens;
  private readonly prefix: readonly number[];
  private waiting: Pending[] = [];
  /** Whose prompts are being run. */
  private entering: Growing[] = [];
  private active: Growing[] = [];
  private readonly slots: Slots;
  /** Tokens that answers got since prompts were run. */
  private steps = 0;
  /** The adapters with which the prefix stands in the slots. */
  private readonly prefixes: (AdapterPairs | undefined)[];
  /** How many requests each adapter and each signal has; of adapters without any, the one that was asked for last comes last. */
  private readonly adapters = new Map<AdapterPairs, { requests: number; readonly letGo: () => void }>();
  private readonly signals = new Map<AbortSignal, number>();
  private running: Promise<void> | undefined;
  /** Why no more is answered. */
  private end: { readonly error: unknown } | undefined;
  private closed: Promise<void> | undefined;

  /** Takes the memory of the cache. Throws RangeError or TypeError, which names the option. */
  constructor(
    private readonly model: CausalLM,
    private readonly options: SessionOptions,
  ) {
    const { slots, longest, newTokens, bf16 = false, prefix = [], keeps = false, turns } = options;
    checkWhole('slots', slots, 1);
    checkWhole('longest', longest, 1, MOST_POSITIONS);
    checkWhole('newTokens', newTokens, 1, MOST_POSITIONS);
    if (turns) for (const key of ['prompts', 'answers'] as const) checkWhole(`turns.${key}`, turns[key], 1);
    this.cache = cacheFor(model, slots, { longest, newTokens, bf16 });
    this.next = new NextTokens(model, this.cache, bf16);
    // An encoder's rows see what comes behind them.
    this.prefix = keeps || readsByEncoder(model) ? [] : prefix;
    this.slots = new Slots(slots);
    this.prefixes = Array.from({ length: slots }, () => undefined);
  }

  /**
   * The answer to a prompt. Rejects with a UserError for one without tokens or with such as the model does not have, with RangeError or
   * TypeError for an option that says nothing sensible or an answer that has no room, with an AbortError once the request's signal is
   * aborted or the session is closed, with what `onToken` throws.
   */
  submit(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { signal } = request;
      if (this.end) throw this.end.error;
      throwIfAborted(signal);
      const pairs = pairsOfCall(this.model, request.adapter);
      this.check(request, pairs);
      const shares =
        request.ids.length > this.prefix.length && this.prefix.every((id, i) => id === request.ids[i]);
      const there = this.adapters.get(pairs) ?? { requests: 0, letGo: holdPairs(pairs) };
      there.requests++;
      this.adapters.set(pairs, there);
      if (signal) this.signals.set(signal, (this.signals.get(signal) ?? 0) + 1);
      this.waiting.push({ ...request, pairs, prefix: shares ? this.prefix.length : 0, resolve, reject });
      this.running ??= this.run();
    });
  }

  /** Ends what is not answered with an AbortError, waits for the pass that is under way, and frees what the session took. */
  close(): Promise<void> {
    this.closed ??= (async () => {
      this.endAll(new AbortError('the session was closed'));
      await this.running;
      this.next.dispose();
      this.cache.dispose();
      for (const { letGo } of this.adapters.values()) letGo();
    })();
    return this.closed;
  }

  private check({ ids, index, sampling, max_new_tokens, stopTokens }: Request, pairs: AdapterPairs): void {
    checkEnd({ max_new_tokens, stopTokens });
    checkSampling(sampling);
    checkPrompt(this.model, { ids, index }, pairs);
    const { longest, newTokens } = this.options;
    const fits = readsByEncoder(this.model)
      ? ids.length <= longest && max_new_tokens <= newTokens
      : ids.length + max_new_tokens <= longest + newTokens;
    if (!fits)
      throw new RangeError(
        `prompt ${index} has ${ids.length} tokens and wants up to ${max_new_tokens} new ones; the session has room for ${longest} and ${newTokens}`,
      );
  }

  private async run(): Promise<void> {
    // What is submitted in one go enters together.
    await Promise.resolve();
    const loop = new LoopWatch();
    try {
      while (this.waiting.length + this.entering.length + this.active.length > 0) {
        await this.turn();
        // Most passes are waited for by the event loop. To let it have its turn here, too, would keep the device from its next pass.
        if (loop.held > TURN) await new Promise(setImmediate);
      }
    } catch (error) {
      this.endAll(error);
    }
    this.running = undefined;
  }

  /** One pass: prompts of those that enter, or else the next tokens of all others. */
  private async turn(): Promise<void> {
    this.endAborted();
    const { turns } = this.options;
    // The answers that grow go on between two pieces of prompts.
    const waits = turns && this.steps < turns.answers && this.active.length > 0;
    const parts = waits ? [] : await this.enter();
    const ran = parts.length > 0;
    this.steps = ran ? 0 : this.steps + 1;
    const stepped = ran ? parts.map(({ sequence }) => sequence) : this.active;
    if (stepped.length === 0) return;
    const signal = signalOf(stepped);
    let chosen: ArrayLike<number>;
    try {
      chosen = await (ran ? this.first(parts, signal) : this.next.next(stepped, signal));
    } catch (error) {
      // All that were in the pass are at their end, which the next turn tells them.
      if (signal && isAbort(error, signal)) return;
      throw error;
    }
    const growing = ran ? this.begin(parts) : this.active;
    const ended = new Set(growing.filter((s, i) => this.grow(s, chosen[i]!)));
    this.active = this.active.filter((s) => !ended.has(s));
  }

  /** The prompts of a pass, whole ones first: of one adapter, in the order in which they came, as many tokens as a pass is worth. */
  private async enter(): Promise<EnteringPart[]> {
    const { turns, keeps } = this.options;
    const isCut = turns !== undefined && !readsByEncoder(this.model);
    const most = this.active.length > 0 ? turns?.prompts : undefined;
    const room = Math.min(prefillTokens(this.model), most ?? Infinity);
    const parts: EnteringPart[] = [];
    let tokens = 0;
    const add = (sequence: Growing): void => {
      const { done, prompt } = sequence;
      const left = prompt.ids.length - done;
      const count = isCut ? Math.min(left, room - tokens) : left;
      tokens += count;
      parts.push({ sequence, from: done, to: done + count });
    };
    // One that was cut, at the most.
    for (const sequence of this.entering) add(sequence);
    while (tokens < room && this.waiting.length > 0 && !this.slots.areTaken) {
      const prompt = this.waiting[0]!;
      const head = parts[0]?.sequence.prompt ?? prompt;
      if (prompt.pairs !== head.pairs || prompt.prefix !== head.prefix) break;
      // What one of this pass shares with it is copied, when it is there.
      if (keeps && this.sharesWith(parts, prompt)) break;
      this.waiting.shift();
      const sequence = await this.place(prompt);
      this.entering.push(sequence);
      add(sequence);
    }
    return parts;
  }

  private sharesWith(parts: readonly EnteringPart[], { pairs, ids }: Pending): boolean {
    if (readsByEncoder(this.model)) return false;
    const there = this.slots.sharedBy(pairs, ids);
    return parts.some(({ sequence: { prompt, done } }) => {
      const shared = Math.min(commonPrefix([prompt.ids, ids]), ids.length - 1);
      return shared >= Math.max(there, done) + LEAST_COPIED;
    });
  }

  /** Gives a request a slot. */
  private async place(prompt: Pending): Promise<Growing> {
    const { pairs, sampling, ids, onLogits } = prompt;
    const { model, cache, options } = this;
    const looks = options.keeps && !readsByEncoder(model);
    const { slot, shared, from } = looks ? this.slots.takeFor(pairs, ids) : this.slots.take();
    if (from !== undefined) {
      const beginning = ids.slice(0, shared);
      await fillPrefix(model, cache, beginning, { from, to: [slot] }, { bf16: options.bf16, pairs });
      this.slots.hold(slot, pairs, beginning);
    }
    const placed: Growing = {
      prompt,
      slot,
      tokens: [],
      pairs,
      sampling,
      done: looks ? shared : prompt.prefix,
    };
    if (!onLogits) return placed;
    return Object.assign(placed, {
      // The others of the pass go on.
      async onLogits(logits: Float32Array) {
        try {
          await onLogits(logits);
        } catch (error) {
          placed.fault = { error };
        }
      },
    });
  }

  private async first(
    parts: readonly EnteringPart[],
    signal: AbortSignal | undefined,
  ): Promise<ArrayLike<number>> {
    const { model, cache, prefixes } = this;
    const { pairs, prompt } = parts[0]!.sequence;
    const { prefix } = prompt;
    const slots = parts.map(({ sequence: { slot } }) => slot);
    const lacking = slots.filter((slot) => prefix === 0 || prefixes[slot] !== pairs);
    const from = prefixes.indexOf(pairs);
    for (const slot of lacking) prefixes[slot] = undefined;
    if (prefix > 0 && lacking.length > 0) {
      const { bf16 } = this.options;
      const filling = { ...(from >= 0 && { from }), to: lacking };
      await fillPrefix(model, cache, this.prefix, filling, { bf16, pairs, signal });
    }
    const chosen = await this.next.first(parts, signal);
    // Not before, for in an aborted pass it may be anything.
    if (prefix > 0) for (const slot of lacking) prefixes[slot] = pairs;
    return chosen;
  }

  /** Notes which tokens stand in their slots now. @returns those whose prompts are whole, behind which answers grow */
  private begin(parts: readonly EnteringPart[]): Growing[] {
    for (const { sequence, to } of parts) {
      const { prompt, slot, pairs } = sequence;
      sequence.done = to;
      if (this.options.keeps) this.slots.hold(slot, pairs, prompt.ids.slice(0, to));
    }
    const isWhole = ({ prompt, done }: Growing): boolean => done === prompt.ids.length;
    const whole = this.entering.filter(isWhole);
    this.active.push(...whole);
    this.entering = this.entering.filter((sequence) => !isWhole(sequence));
    return whole;
  }

  /** Adds what was chosen to an answer; whether that is its end. */
  private grow(sequence: Growing, token: number): boolean {
    const { prompt, tokens } = sequence;
    // The next turn ends it.
    if (this.end || prompt.signal?.aborted) return false;
    let stop = prompt.stopTokens.includes(token);
    const finish = (): true => {
      this.leave(sequence);
      this.forget(prompt);
      return true;
    };
    if (!stop && !sequence.fault) {
      tokens.push(token);
      try {
        prompt.onToken?.(token);
        stop = prompt.endsWith?.(tokens) ?? false;
      } catch (error) {
        sequence.fault = { error };
      }
    }
    if (sequence.fault) {
      prompt.reject(sequence.fault.error);
      return finish();
    }
    if (!stop && tokens.length < prompt.max_new_tokens) return false;
    prompt.resolve({ index: prompt.index, tokens, finish: stop ? 'stop' : 'length' });
    return finish();
  }

  private endAborted(): void {
    if (![...this.signals.keys()].some(({ aborted }) => aborted)) return;
    const goesOn = (pending: Pending): boolean => {
      const { signal } = pending;
      if (!signal?.aborted) return true;
      pending.reject(abortReason(signal));
      this.forget(pending);
      return false;
    };
    this.waiting = this.waiting.filter(goesOn);
    const staysOn = (sequence: Growing): boolean => {
      const left = goesOn(sequence.prompt);
      if (!left) this.leave(sequence);
      return left;
    };
    this.entering = this.entering.filter(staysOn);
    this.active = this.active.filter(staysOn);
  }

  /** Frees a sequence's slot. */
  private leave({ prompt: { pairs, ids }, slot, tokens, done }: Growing): void {
    // The last token was not run yet, or a pass was aborted in which it was.
    const held = tokens.length > 0 ? [...ids, ...tokens.slice(0, -1)] : ids.slice(0, done);
    if (this.options.keeps) this.slots.hold(slot, pairs, held);
    this.slots.giveBack(slot);
  }

  private endAll(error: unknown): void {
    this.end ??= { error };
    for (const { prompt } of [...this.entering, ...this.active]) prompt.reject(error);
    this.entering = [];
    this.active = [];
    for (const pending of this.waiting) pending.reject(error);
    this.waiting = [];
  }

  /** What is counted of a request that has ended. */
  private forget({ pairs, signal }: Pending): void {
    const left = signal && this.signals.get(signal)! - 1;
    if (left === 0) this.signals.delete(signal!);
    else if (left !== undefined) this.signals.set(signal!, left);
    const adapter = this.adapters.get(pairs)!;
    if (--adapter.requests > 0) return;
    this.adapters.delete(pairs);
    this.adapters.set(pairs, adapter);
    const idle = [...this.adapters].filter(([, { requests }]) => requests === 0);
    for (const [old, { letGo }] of idle.slice(0, -MOST_IDLE)) {
      this.adapters.delete(old);
      this.next.forget(old);
      this.slots.forget(old);
      for (const [slot, held] of this.prefixes.entries()) if (held === old) this.prefixes[slot] = undefined;
      letGo();
    }
  }
}

/** The signal of all of them, where it is one: once it is aborted, nobody wants their pass. */
function signalOf(sequences: readonly Growing[]): AbortSignal | undefined {
  const { signal } = sequences[0]!.prompt;
  return sequences.every(({ prompt }) => prompt.signal === signal) ? signal : undefined;
}

/** Throws RangeError or TypeError, which names the option. */
export function checkEnd({ max_new_tokens, stopTokens }: AnswerEnd): void {
  checkWhole('max_new_tokens', max_new_tokens, 1, MOST_POSITIONS);
  for (const token of stopTokens) checkWhole('stopTokens', token, 0);
}
