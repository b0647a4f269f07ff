/** `POST /v1/chat/completions`. */

import { messagesOf } from '../data/chat/index.js';
import type { Tokenizer } from '../tokenizer/index.js';
import { answerAll, usageOf, type Answered, type JsonFormat, type Serving, type Wanted } from './answers.js';
import type { Served } from './engine.js';
import { ApiError } from './errors.js';
import { rulesOf, samplingOf, stopsOf, type ChatRequest } from './requests.js';
import { streamed } from './sse.js';
import type { TokenLogprobs } from './token-rules.js';
import {
  forcedCall,
  ToolCallReader,
  toolFormOf,
  type AnswerReader,
  type CalledTool,
  type ReadCalls,
  type ToolCall,
} from './tool-calls.js';
import { newId, type Reply } from './replies.js';

/** What of a request does not depend on whether it is streamed. */
interface Prepared {
  readonly served: Served;
  readonly ids: readonly number[];
  readonly wanted: readonly Wanted[];
  /** Of each choice, where tools may be called in a form that is known. */
  readonly readers: readonly (AnswerReader | undefined)[];
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
  const withUsage = request.stream_options?.include_usage ?? false;
  await streamed(out, (send) => grow(serving, prepared, out, { send, withUsage }));
  return undefined;
}

async function prepare(
  { engine, metrics }: Serving,
  served: Served,
  request: ChatRequest,
): Promise<Prepared> {
  const { prompts } = served;
  const tools = request.tool_choice === 'none' ? undefined : (request.tools ?? undefined);
  const calls = callsOf(request, prompts.source);
  const ids = await prompts.idsOf(messagesOf(request.messages), tools, calls.begun);
  const asked = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const max_new_tokens = engine.newTokens(ids.length, asked);
  metrics.promptTokens.inc(ids.length);
  const { endTexts, ends } = prompts;
  const json = calls.json ?? jsonOf(request);
  const rules = rulesOf(request, request.logprobs ? (request.top_logprobs ?? 0) : undefined);
  const common = { ids, max_new_tokens, sampling: samplingOf(request), rules, json };
  // A call ends where its grammar does.
  const ending = calls.json
    ? { stopTokens: ends.stopTokens, ends: stopsOf(request) }
    : { ...ends, ends: [...stopsOf(request), ...endTexts] };
  const wanted = Array.from({ length: request.n ?? 1 }, (_, choice): Wanted => ({
    ...{ ...common, choice, ...ending },
  }));
  return {
    ...{ served, ids, wanted, readers: wanted.map(() => calls.reader?.()) },
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

/** Sends the choices as they grow. */
async function grow(
  serving: Serving,
  { served, ids, wanted, readers, head }: Prepared,
  out: Reply,
  { send, withUsage }: { readonly send: (data: object) => void; readonly withUsage: boolean },
): Promise<void> {
  const chunk = { ...head, object: 'chat.completion.chunk' };
  const begun = new Set<number>();
  const tell: Tell = (index, delta, more) => {
    const choice = (of: object, rest?: object): object => ({
      ...chunk,
      choices: [{ index, delta: of, logprobs: null, finish_reason: null, ...rest }],
      ...(withUsage && { usage: null }),
    });
    if (!begun.has(index)) send(choice({ role: 'assistant', content: '', refusal: null }));
    begun.add(index);
    send(choice(delta, more));
  };
  const answers = await answerAll(serving, served, wanted, out.response, (index, text, logprobs) => {
    const content = readers[index]?.push(text) ?? text;
    const told = logprobsOf(served.tokenizer, logprobs);
    if (content !== '' || told) tell(index, { content }, { logprobs: told });
  });
  for (const [index, answer] of answers.entries()) endChoice(index, answer, readers[index], tell);
  if (withUsage) send({ ...chunk, choices: [], usage: usageOf([ids], answers) });
}

const NO_CALLS: ReadCalls = { content: '', calls: [] };

function endChoice(index: number, { finish }: Answered, reader: AnswerReader | undefined, tell: Tell): void {
  const { content, calls } = reader?.end() ?? NO_CALLS;
  if (content !== '') tell(index, { content });
  if (calls.length > 0)
    tell(index, { tool_calls: calls.map((call, i) => ({ index: i, ...callObject(call) })) });
  tell(index, {}, { finish_reason: calls.length > 0 ? 'tool_calls' : finish });
}

function jsonOf({ response_format: format }: ChatRequest): JsonFormat | undefined {
  const param = 'response_format';
  if (format?.type === 'json_object') return { param };
  if (format?.type === 'json_schema') return { schema: format.json_schema.schema ?? {}, param };
  return undefined;
}

/** How an answer may call tools, or has to. */
interface Calls {
  /** What a call that has to come is begun with, and what it is to be. */
  readonly begun?: string;
  readonly json?: JsonFormat;
  /** Absent: no calls are read. */
  readonly reader?: () => AnswerReader;
}

/** Throws ApiError where a tool is wanted that there is not. */
function callsOf({ tool_choice, tools, parallel_tool_calls }: ChatRequest, template: string): Calls {
  const param = 'tool_choice';
  if (tool_choice === 'none' || (tool_choice == null && !tools)) return {};
  if (!tools || (tool_choice !== 'auto' && tool_choice != null && tools.length === 0))
    throw new ApiError(400, `tool_choice ${JSON.stringify(tool_choice)} goes with tools`, { param });
  if (tool_choice === 'auto' || tool_choice == null) {
    const form = toolFormOf(template);
    return form ? { reader: () => new ToolCallReader(form, parallel_tool_calls === false) } : {};
  }
  const all = tools.map(({ function: { name, parameters } }): CalledTool => ({
    ...{ name, parameters: parameters ?? undefined },
  }));
  const chosen =
    tool_choice === 'required' ? all : all.filter(({ name }) => name === tool_choice.function.name);
  if (chosen.length === 0)
    throw new ApiError(
      400,
      `tool_choice names '${tool_choice === 'required' ? '' : tool_choice.function.name}', which is none of the tools`,
      { param },
    );
  const { begun, schema, reader } = forcedCall(template, chosen);
  return { begun, reader, json: { schema, param: 'tools' } };
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
