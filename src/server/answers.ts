/** The answers to one request: several choices, counted, timed, and ended with their client. */

import type { ServerResponse } from 'node:http';
import type { Asked, Engine, Served } from './engine.js';
import { ApiError } from './errors.js';
import type { Metrics } from './metrics.js';
import { TokenRules, type TokenLogprobs, type TokenRulesOptions } from './token-rules.js';

/** Of a timer: one that is longer rings at once. */
const MOST_MS = 2 ** 31 - 1;

/** Why a request is ended that took too long. */
const LATE = new Error('late');

/** What a request has to do with. */
export interface Serving {
  readonly engine: Engine;
  readonly metrics: Metrics;
  /** Seconds for a request, at the most. */
  readonly timeout: number;
}

/** A JSON Schema that the answer is to be of; `schema` absent: any object. */
export interface JsonFormat {
  readonly schema?: object;
}

/** A prompt, and what is wanted of its answer. */
export interface Wanted extends Pick<
  Asked,
  'ids' | 'choice' | 'max_new_tokens' | 'sampling' | 'ends' | 'endsWith' | 'stopTokens'
> {
  readonly rules: TokenRulesOptions;
  readonly json?: JsonFormat | undefined;
}

export interface Answered {
  readonly text: string;
  readonly finish: 'stop' | 'length';
  readonly tokens: number;
  readonly logprobs: readonly TokenLogprobs[] | undefined;
}

/** Sees an answer grow: its text, with the log-probabilities of the tokens since the last piece. */
export type OnPiece = (choice: number, text: string, logprobs: readonly TokenLogprobs[] | undefined) => void;

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/**
 * All answers, in their order. Throws ApiError where too many wait or it takes too long; rejects with an AbortError where the client has
 * gone.
 */
export async function answerAll(
  { engine, metrics, timeout }: Serving,
  served: Served,
  wanted: readonly Wanted[],
  client: ServerResponse,
  onPiece?: OnPiece,
): Promise<Answered[]> {
  const leave = engine.admit(wanted.length);
  const end = new AbortController();
  const gone = (): void => end.abort();
  const timer = setTimeout(() => end.abort(LATE), Math.min(1000 * timeout, MOST_MS));
  client.on('close', gone);
  const timed = metrics.whole.startTimer();
  const first = once(metrics.firstToken.startTimer());
  try {
    if (client.destroyed) end.abort();
    const answers = await Promise.all(
      wanted.map((one) => answer(engine, served, one, { signal: end.signal, first, onPiece })),
    );
    metrics.generatedTokens.inc(usageOf([], answers).completion_tokens);
    return answers;
  } catch (error) {
    // The others are for nobody.
    end.abort();
    if (end.signal.reason === LATE)
      throw new ApiError(504, `the answer took longer than ${timeout} s`, { code: 'timeout' });
    throw error;
  } finally {
    clearTimeout(timer);
    client.off('close', gone);
    leave();
    timed();
  }
}

async function answer(
  engine: Engine,
  served: Served,
  { rules: options, json, ...wanted }: Wanted,
  {
    signal,
    first,
    onPiece,
  }: { readonly signal: AbortSignal; readonly first: () => void; readonly onPiece?: OnPiece | undefined },
): Promise<Answered> {
  const rules = TokenRules.areNeeded(options) ? new TokenRules(options) : undefined;
  const logprobs: TokenLogprobs[] | undefined = options.logprobs === undefined ? undefined : [];
  let [tokens, told] = [0, 0];
  const untold = (): readonly TokenLogprobs[] | undefined => {
    const since = logprobs?.slice(told);
    told = logprobs?.length ?? 0;
    return since;
  };
  const grammar = json && (await engine.grammar(served, wanted.stopTokens, json.schema));
  const looks = rules ?? grammar;
  const asked = engine.ask({
    ...{ ...wanted, served, signal },
    ...(looks && {
      async onLogits(logits) {
        rules?.apply(logits);
        await grammar?.apply(logits);
      },
    }),
    onToken(token) {
      first();
      tokens++;
      grammar?.chosen(token);
      const own = rules?.chosen(token);
      if (own) logprobs?.push(own);
    },
    ...(onPiece && { onText: (piece) => onPiece(wanted.choice, piece, untold()) }),
  });
  const { text, finish } = await asked.finally(() => grammar?.end());
  return { text, finish, tokens, logprobs };
}

export function usageOf(prompts: readonly (readonly number[])[], answers: readonly Answered[]): Usage {
  const prompt_tokens = prompts.reduce((n, ids) => n + ids.length, 0);
  const completion_tokens = answers.reduce((n, { tokens }) => n + tokens, 0);
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

function once(run: () => unknown): () => void {
  let isDone = false;
  return () => {
    if (!isDone) run();
    isDone = true;
  };
}
