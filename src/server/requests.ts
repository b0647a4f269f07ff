/** Bodies of requests, by OpenAI's API: https://platform.openai.com/docs/api-reference. Fields that are not known are passed over. */

import { z } from 'zod';
import { ApiError } from './errors.js';
import type { TokenRulesOptions } from './token-rules.js';

/** Choices of one request. */
const MOST_CHOICES = 128;
const MOST_STOPS = 16;

const seed = z
  .int()
  // A seed may be negative with OpenAI.
  .transform((value) => value >>> 0)
  .nullish();

const common = {
  model: z.string(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  /** vLLM's; 0 and -1: all. */
  top_k: z.int().min(-1).nullish(),
  seed,
  n: z.int().min(1).max(MOST_CHOICES).nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(MOST_STOPS)]).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,9}$/, 'a token’s number is wanted'), z.number().min(-100).max(100))
    .nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
};

const jsonSchemaFormat = z.looseObject({
  name: z.string().optional(),
  schema: z.record(z.string(), z.unknown()).optional(),
  strict: z.boolean().nullish(),
});

export const chatRequest = z.looseObject({
  ...common,
  /** Read as data sets are (src/data/chat). */
  messages: z.array(z.unknown()).min(1),
  max_completion_tokens: z.int().positive().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.literal('function'),
        function: z.looseObject({
          name: z.string().min(1),
          parameters: z.record(z.string(), z.unknown()).nullish(),
        }),
      }),
    )
    .nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion('type', [
      z.looseObject({ type: z.literal('text') }),
      z.looseObject({ type: z.literal('json_object') }),
      z.looseObject({ type: z.literal('json_schema'), json_schema: jsonSchemaFormat }),
    ])
    .nullish(),
});

const tokens = z.array(z.int().min(0)).min(1);

export const completionRequest = z.looseObject({
  ...common,
  prompt: z.union([z.string(), z.array(z.string()).min(1), tokens, z.array(tokens).min(1)]),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.literal(false, 'echo is not supported').nullish(),
  suffix: z.literal('', 'suffix is not supported').nullish(),
  best_of: z.literal(1, 'best_of is not supported').nullish(),
});

export type ChatRequest = z.output<typeof chatRequest>;
export type CompletionRequest = z.output<typeof completionRequest>;
type Common = Pick<ChatRequest & CompletionRequest, keyof typeof common>;

/** Throws ApiError that names the field. */
export function readBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const param = issue.path.map(String).join('.');
  throw new ApiError(400, param === '' ? issue.message : `${param}: ${issue.message}`, {
    param: param || undefined,
  });
}

/** Where an answer ends besides its own end. */
export function stopsOf({ stop }: Pick<Common, 'stop'>): readonly string[] {
  return typeof stop === 'string' ? [stop] : (stop ?? []);
}

/** How tokens are drawn; OpenAI's default temperature is 1. */
export function samplingOf({ temperature, top_p, top_k, seed: given }: Common): {
  readonly do_sample: boolean;
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly seed: number;
} {
  const t = temperature ?? 1;
  const p = top_p ?? 1;
  // Draws from nothing but the likeliest.
  const isGreedy = t === 0 || p === 0;
  return {
    do_sample: !isGreedy,
    temperature: isGreedy ? 1 : t,
    top_p: isGreedy ? 1 : p,
    top_k: Math.max(0, top_k ?? 0),
    seed: given ?? Math.floor(Math.random() * 2 ** 32),
  };
}

/** What it wants of logits. `logprobs`: of so many likeliest tokens; each endpoint has its own way to ask for them. */
export function rulesOf(
  {
    logit_bias,
    presence_penalty,
    frequency_penalty,
  }: Pick<Common, 'logit_bias' | 'presence_penalty' | 'frequency_penalty'>,
  logprobs: number | undefined,
): TokenRulesOptions {
  return {
    logprobs,
    bias: new Map(Object.entries(logit_bias ?? {}).map(([token, value]) => [Number(token), value])),
    presence: presence_penalty ?? 0,
    frequency: frequency_penalty ?? 0,
  };
}
