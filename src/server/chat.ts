/** `POST /v1/chat/completions`. */

import { messagesOf } from '../data/chat/index.js';
import type { Tokenizer } from '../tokenizer/index.js';
import { answerAll, usageOf, type Answered, type JsonFormat, type Serving, type Wanted } from './answers.js';
import type { Served } from './engine.js';
import { ApiError } from './errors.js';
import { rulesOf, samplingOf, stopsOf, type ChatRequest } from './requests.js';
import { EventStream } from './sse.js';
import type { TokenLogprobs } from './token-rules.js';
import { ToolCallReader, toolFormOf, type ReadCalls, type ToolCall } from './tool-calls.js';
import { newId, tellFault, type Reply } from './replies.js';

/** What of a request does not depend on whether it is streamed. */
interface Prepared {
  readonly served: Served;
  readonly ids: readonly number[];
  readonly wanted: readonly Wanted[];
  /** Of each choice, where tools may be called in a form that is known. */
  readonly readers: readonly (ToolCallReader | undefined)[];
  readonly head: { readonly id: string; readonly created: number; readonly model: string };
}

/** The whole answer; undefined: it was streamed. */
export async function chatCompletion(
  serving: Serving,
  served: Served,
  request: ChatRequest,
  out: Reply,
): Promise<object | undefined> {
  const prepared = await prepare(serving, served, request);
  if (!request.stream) return wholeAnswer(serving, prepared, out);
  await streamed(serving, prepared, out, request.stream_options?.include_usage ?? false);
  return undefined;
}

async function prepare(
  { engine, metrics }: Serving,
  served: Served,
  request: ChatRequest,
): Promise<Prepared> {
  const { prompts } = served;
  const tools = request.tool_choice === 'none' ? undefined : (request.tools ?? undefined);
  checkTools(request);
  const ids = await prompts.idsOf(messagesOf(request.messages), tools);
  const asked = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const max_new_tokens = engine.newTokens(ids.length, asked);
  metrics.promptTokens.inc(ids.length);
  const { endTexts, ends } = prompts;
  const [sampling, json] = [samplingOf(request), jsonOf(request)];
  const rules = rulesOf(request, request.logprobs ? (request.top_logprobs ?? 0) : undefined);
  const wanted = Array.from({ length: request.n ?? 1 }, (_, choice): Wanted => ({
    ...{ ids, choice, max_new_tokens, sampling, rules, json, ...ends },
    ends: [...stopsOf(request), ...endTexts],
  }));
  const form = tools && toolFormOf(prompts.source);
  return {
    ...{ served, ids, wanted, readers: wanted.map(() => form && new ToolCallReader(form)) },
    head: { id: newId('chatcmpl'), created: Math.floor(Date.now() / 1000), model: request.model },
  };
}

async function wholeAnswer(
  serving: Serving,
  { served, ids, wanted, readers, head }: Prepared,
  out: Reply,
): Promise<object> {
  const answers = await answerAll(serving, served, wanted, out.response);
  return {
    ...{ ...head, object: 'chat.completion' },
    choices: answers.map(({ text, finish, logprobs }, index) => {
      const reader = readers[index];
      const said = reader?.push(text) ?? text;
      const { content, calls } = reader?.end() ?? NO_CALLS;
      const all = said + content;
      return {
        index,
        message: {
          ...{ role: 'assistant', content: all === '' && calls.length > 0 ? null : all, refusal: null },
          ...(calls.length > 0 && { tool_calls: calls.map(callObject) }),
        },
        logprobs: logprobsOf(served.tokenizer, logprobs),
        finish_reason: calls.length > 0 ? 'tool_calls' : finish,
      };
    }),
    usage: usageOf([ids], answers),
  };
}

type Tell = (index: number, delta: object, more?: object) => void;

async function streamed(
  serving: Serving,
  { served, ids, wanted, readers, head }: Prepared,
  out: Reply,
  withUsage: boolean,
): Promise<void> {
  const chunk = { ...head, object: 'chat.completion.chunk' };
  let opened: EventStream | undefined;
  const begun = new Set<number>();
  const tell: Tell = (index, delta, more) => {
    opened ??= new EventStream(out);
    const choice = (of: object, rest?: object): object => ({
      ...chunk,
      choices: [{ index, delta: of, logprobs: null, finish_reason: null, ...rest }],
      ...(withUsage && { usage: null }),
    });
    if (!begun.has(index)) opened.send(choice({ role: 'assistant', content: '', refusal: null }));
    begun.add(index);
    opened.send(choice(delta, more));
  };
  try {
    const answers = await answerAll(serving, served, wanted, out.response, (index, text, logprobs) => {
      const content = readers[index]?.push(text) ?? text;
      const told = logprobsOf(served.tokenizer, logprobs);
      if (content !== '' || told) tell(index, { content }, { logprobs: told });
    });
    for (const [index, answer] of answers.entries()) endChoice(index, answer, readers[index], tell);
    if (withUsage) opened!.send({ ...chunk, choices: [], usage: usageOf([ids], answers) });
    opened!.end();
  } catch (error) {
    if (!opened) throw error;
    tellFault(out, error);
  }
}

const NO_CALLS: ReadCalls = { content: '', calls: [] };

function endChoice(
  index: number,
  { finish }: Answered,
  reader: ToolCallReader | undefined,
  tell: Tell,
): void {
  const { content, calls } = reader?.end() ?? NO_CALLS;
  if (content !== '') tell(index, { content });
  if (calls.length > 0)
    tell(index, { tool_calls: calls.map((call, i) => ({ index: i, ...callObject(call) })) });
  tell(index, {}, { finish_reason: calls.length > 0 ? 'tool_calls' : finish });
}

function jsonOf({ response_format: format }: ChatRequest): JsonFormat | undefined {
  if (format?.type === 'json_object') return {};
  if (format?.type === 'json_schema') return { schema: format.json_schema.schema ?? {} };
  return undefined;
}

/** Throws ApiError for what would be answered otherwise than it was asked. */
function checkTools({ tool_choice, tools }: ChatRequest): void {
  const param = 'tool_choice';
  if (tool_choice === 'required' || (typeof tool_choice === 'object' && tool_choice !== null))
    throw new ApiError(400, "tool_choice takes 'none' and 'auto': no answer can be made to call a tool", {
      param,
    });
  if (tool_choice === 'auto' && !tools)
    throw new ApiError(400, "tool_choice 'auto' goes with tools", { param });
}

const callObject = ({ name, arguments: given }: ToolCall): object => ({
  ...{ id: newId('call'), type: 'function', function: { name, arguments: given } },
});

function logprobsOf(tokenizer: Tokenizer, all: readonly TokenLogprobs[] | undefined): object | null {
  if (!all) return null;
  const named = (id: number, logprob: number): object => {
    const token = tokenizer.decode([id], { skipSpecialTokens: false });
    // JSON has no infinity: OpenAI says so much for what is next to impossible.
    return { token, logprob: Math.max(logprob, -9999), bytes: [...Buffer.from(token)] };
  };
  return {
    content: all.map(({ token, logprob, top }) => ({
      ...named(token, logprob),
      top_logprobs: top.map((one) => named(one.token, one.logprob)),
    })),
  };
}
