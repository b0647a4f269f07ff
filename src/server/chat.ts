/** `POST /v1/chat/completions`. */

import type { ServerResponse } from 'node:http';
import { messagesOf } from '../data/chat/index.js';
import type { Tokenizer } from '../tokenizer/index.js';
import { answerAll, usageOf, type Answered, type Serving, type Wanted } from './answers.js';
import { ApiError } from './errors.js';
import { biasOf, samplingOf, stopsOf, type ChatRequest } from './requests.js';
import { EventStream } from './sse.js';
import type { TokenLogprobs } from './token-rules.js';
import { ToolCallReader, toolFormOf, type ToolCall } from './tool-calls.js';
import { newId, tellFault } from './replies.js';

/** The whole answer; undefined: it was streamed. */
export async function chatCompletion(
  serving: Serving,
  request: ChatRequest,
  out: ServerResponse,
  headers: Readonly<Record<string, string>>,
): Promise<object | undefined> {
  const { engine, metrics } = serving;
  const served = engine.find(request.model);
  const { tokenizer, prompts } = served;
  const tools = request.tool_choice === 'none' ? undefined : (request.tools ?? undefined);
  checkFormat(request);
  const messages = messagesOf(request.messages);
  const ids = await prompts.idsOf(messages, tools);
  const max_new_tokens = engine.newTokens(
    ids.length,
    request.max_completion_tokens ?? request.max_tokens ?? undefined,
  );
  metrics.promptTokens.inc(ids.length);
  const { turnEnd, ends } = prompts;
  const sampling = samplingOf(request);
  const wanted = Array.from({ length: request.n ?? 1 }, (_, choice): Wanted => ({
    ...{ ids, choice, max_new_tokens, sampling, ...ends },
    ends: [...stopsOf(request), ...(turnEnd === undefined ? [] : [turnEnd])],
    rules: {
      logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
      bias: biasOf(request),
      presence: request.presence_penalty ?? 0,
      frequency: request.frequency_penalty ?? 0,
    },
  }));
  const head = { id: newId('chatcmpl'), created: Math.floor(Date.now() / 1000), model: request.model };
  const form = tools && toolFormOf(prompts.source);
  const readers = wanted.map(() => form && new ToolCallReader(form));
  const logprobsOf = (some: readonly TokenLogprobs[] | undefined): object | null =>
    some ? { content: some.map((one) => tokenLogprob(tokenizer, one)) } : null;

  if (!request.stream) {
    const answers = await answerAll(serving, served, wanted, out);
    metrics.generatedTokens.inc(usageOf([], answers).completion_tokens);
    return {
      ...{ ...head, object: 'chat.completion' },
      choices: answers.map(({ text, finish, logprobs }, index) => {
        const reader = readers[index];
        const said = reader?.push(text) ?? text;
        const { content, calls } = reader?.end() ?? { content: '', calls: [] };
        const all = said + content;
        return {
          index,
          message: {
            ...{ role: 'assistant', content: all === '' && calls.length > 0 ? null : all, refusal: null },
            ...(calls.length > 0 && { tool_calls: calls.map(callObject) }),
          },
          logprobs: logprobsOf(logprobs),
          finish_reason: calls.length > 0 ? 'tool_calls' : finish,
        };
      }),
      usage: usageOf([ids], answers),
    };
  }

  const stream = (): EventStream => (opened ??= new EventStream(out, headers));
  let opened: EventStream | undefined;
  const tell = (index: number, delta: object, more: object = {}): void =>
    stream().send({
      ...{ ...head, object: 'chat.completion.chunk' },
      choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
      ...(request.stream_options?.include_usage && { usage: null }),
    });
  const begun = new Set<number>();
  const begin = (index: number): void => {
    if (!begun.has(index)) tell(index, { role: 'assistant', content: '', refusal: null });
    begun.add(index);
  };
  try {
    const answers = await answerAll(serving, served, wanted, out, (index, text, logprobs) => {
      begin(index);
      const content = readers[index]?.push(text) ?? text;
      if (content !== '' || logprobs) tell(index, { content }, { logprobs: logprobsOf(logprobs) });
    });
    metrics.generatedTokens.inc(usageOf([], answers).completion_tokens);
    for (const [index, answer] of answers.entries()) {
      begin(index);
      endChoice(index, answer, readers[index], tell);
    }
    if (request.stream_options?.include_usage)
      stream().send({
        ...{ ...head, object: 'chat.completion.chunk', choices: [], usage: usageOf([ids], answers) },
      });
    stream().end();
  } catch (error) {
    if (!opened) throw error;
    tellFault(out, error);
  }
  return undefined;
}

function endChoice(
  index: number,
  { finish }: Answered,
  reader: ToolCallReader | undefined,
  tell: (index: number, delta: object, more?: object) => void,
): void {
  const { content, calls } = reader?.end() ?? { content: '', calls: [] };
  if (content !== '') tell(index, { content });
  if (calls.length > 0)
    tell(index, { tool_calls: calls.map((call, i) => ({ index: i, ...callObject(call) })) });
  tell(index, {}, { finish_reason: calls.length > 0 ? 'tool_calls' : finish });
}

/** Throws ApiError for what would be answered otherwise than it was asked. */
function checkFormat({ response_format: format, tool_choice }: ChatRequest): void {
  if (format && format.type !== 'text')
    throw new ApiError(400, `response_format '${format.type}' is not supported`, {
      param: 'response_format',
    });
  if (typeof tool_choice === 'object' ? tool_choice !== null : tool_choice === 'required')
    throw new ApiError(400, "tool_choice takes 'none' and 'auto': no answer can be made to call a tool", {
      param: 'tool_choice',
    });
}

const callObject = ({ name, arguments: given }: ToolCall): object => ({
  ...{ id: newId('call'), type: 'function', function: { name, arguments: given } },
});

function tokenLogprob(tokenizer: Tokenizer, { token, logprob, top }: TokenLogprobs): object {
  const named = (id: number, value: number): object => {
    const text = tokenizer.decode([id], { skipSpecialTokens: false });
    // JSON has no infinity: OpenAI says so much for what is next to impossible.
    return { token: text, logprob: Math.max(value, -9999), bytes: [...Buffer.from(text)] };
  };
  return { ...named(token, logprob), top_logprobs: top.map((one) => named(one.token, one.logprob)) };
}
