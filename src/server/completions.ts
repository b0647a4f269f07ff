/** `POST /v1/completions`: prompts as they are, without a template. */

import { encodePrompts } from '../tasks/index.js';
import type { Tokenizer } from '../tokenizer/index.js';
import { answerAll, usageOf, type Serving, type Wanted } from './answers.js';
import type { Served } from './engine.js';
import { newId, type Reply } from './replies.js';
import { rulesOf, samplingOf, stopsOf, type CompletionRequest } from './requests.js';
import { streamed } from './sse.js';
import type { TokenLogprobs } from './token-rules.js';

/** vLLM's and OpenAI's default. */
const NEW_TOKENS = 16;

/** The whole answer; undefined: it was streamed. */
export async function completion(
  serving: Serving,
  served: Served,
  request: CompletionRequest,
  out: Reply,
): Promise<object | undefined> {
  const { engine, metrics } = serving;
  const { tokenizer, stops: stopTokens } = served;
  const prompts = await idsOf(tokenizer, request.prompt);
  const [sampling, rules] = [samplingOf(request), rulesOf(request, request.logprobs ?? undefined)];
  const n = request.n ?? 1;
  const wanted = prompts.flatMap((ids) => {
    const max_new_tokens = engine.newTokens(ids.length, request.max_tokens ?? NEW_TOKENS);
    return Array.from({ length: n }, (_, choice): Wanted => ({
      ...{ ids, choice, max_new_tokens, sampling, rules, stopTokens, ends: stopsOf(request) },
    }));
  });
  metrics.promptTokens.inc(prompts.reduce((sum, ids) => sum + ids.length, 0));
  const head = {
    ...{ id: newId('cmpl'), object: 'text_completion' },
    ...{ created: Math.floor(Date.now() / 1000), model: request.model },
  };

  if (!request.stream) {
    const answers = await answerAll(serving, served, wanted, out.response);
    return {
      ...head,
      choices: answers.map(({ text, finish: finish_reason, logprobs }, index) => ({
        ...{ index, text, finish_reason, logprobs: logprobs ? listsOf(tokenizer, logprobs) : null },
      })),
      usage: usageOf(prompts, answers),
    };
  }

  await streamed(out, async (send) => {
    const tell = (index: number, text: string, more: object): void =>
      send({ ...head, choices: [{ index, text, logprobs: null, finish_reason: null, ...more }] });
    const answers = await answerAll(serving, served, wanted, out.response, (index, text, logprobs) => {
      tell(index, text, { logprobs: logprobs ? listsOf(tokenizer, logprobs) : null });
    });
    const usage = usageOf(prompts, answers);
    for (const [index, { finish }] of answers.entries()) tell(index, '', { finish_reason: finish });
    if (request.stream_options?.include_usage) send({ ...head, choices: [], usage });
  });
  return undefined;
}

async function idsOf(
  tokenizer: Tokenizer,
  prompt: CompletionRequest['prompt'],
): Promise<readonly (readonly number[])[]> {
  const all = typeof prompt === 'string' ? [prompt] : prompt;
  if (all.every((one) => typeof one === 'number')) return [all];
  const texts = all.filter((one) => typeof one === 'string');
  if (texts.length < all.length) return all.filter((one) => typeof one === 'object');
  return tokenizer.decoderStartId === undefined
    ? tokenizer.encodeBatch(texts)
    : encodePrompts(tokenizer, texts);
}

/** As this endpoint has them: lists side by side. */
function listsOf(tokenizer: Tokenizer, all: readonly TokenLogprobs[]): object {
  const textOf = (id: number): string => tokenizer.decode([id], { skipSpecialTokens: false });
  const tokens = all.map(({ token }) => textOf(token));
  let end = 0;
  return {
    tokens,
    token_logprobs: all.map(({ logprob }) => logprob),
    top_logprobs: all.map(({ top }) =>
      Object.fromEntries(top.map((one) => [textOf(one.token), one.logprob])),
    ),
    text_offset: tokens.map((text) => (end += text.length) - text.length),
  };
}
