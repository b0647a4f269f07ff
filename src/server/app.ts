/** The server's addresses: OpenAI's API under /v1, /health, /metrics, and a page to try it with. */

import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Hono, type Context } from 'hono';
import { bearerAuth } from 'hono/bearer-auth';
import { cors } from 'hono/cors';
import { HTTPException } from 'hono/http-exception';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { z } from 'zod';
import type { Serving } from './answers.js';
import { chatCompletion } from './chat.js';
import { completion } from './completions.js';
import { AbortError } from '../util/abort.js';
import { ApiError, apiErrorOf } from './errors.js';
import { MemoryError } from '../util/errors.js';
import { sendJson, type Reply } from './replies.js';
import { chatRequest, completionRequest, readBody } from './requests.js';
import type { Served } from './engine.js';

export interface AppOptions {
  /** Any of them opens what is under /v1 and /metrics; none: they are open to all. */
  readonly apiKeys: readonly string[];
  /** Origins whose pages may ask; '*': all. */
  readonly origins: readonly string[];
  /** Of a request's body. */
  readonly maxBytes: number;
  /** Whether clients may add and remove adapters, of any folder that the server can read. */
  readonly updatesAdapters: boolean;
  /** Is told of faults of the server's own. */
  readonly onFault: (error: unknown) => void;
}

type Env = { Bindings: HttpBindings };
type Handler = (c: Context<Env>) => Promise<Response>;
type ReadJson = (c: Context<Env>) => Promise<unknown>;

const loadRequest = z.looseObject({ lora_name: z.string().min(1).max(200), lora_path: z.string().min(1) });
const unloadRequest = z.looseObject({ lora_name: z.string() });

export function createApp(serving: Serving, options: AppOptions): Hono<Env> {
  const { engine, metrics } = serving;
  const app = new Hono<Env>();
  app.onError((error, c) => faultReply(c, error, options));
  app.notFound((c) =>
    faultReply(c, new ApiError(404, `there is nothing at ${c.req.method} ${c.req.path}`), options),
  );
  app.use(counted(serving));
  if (options.origins.length > 0) app.use(cors({ origin: [...options.origins], maxAge: 600 }));
  app.get('/health', (c) => c.json({ status: 'ok' }));
  app.get('/', (c) => c.html(page()));
  if (options.apiKeys.length > 0)
    for (const path of ['/v1/*', '/metrics']) app.use(path, authorized(options.apiKeys));
  app.get('/metrics', async (c) => {
    const text = await metrics.registry.metrics();
    return c.body(text, 200, { 'content-type': metrics.registry.contentType });
  });
  app.get('/v1/models', (c) => c.json({ object: 'list', data: engine.list.map(modelObject) }));
  app.get('/v1/models/:name{.+}', (c) => c.json(modelObject(engine.find(c.req.param('name')))));
  const jsonOf: ReadJson = (c) => readJson(c.env.incoming, options.maxBytes);
  const http = { jsonOf, hasOrigins: options.origins.length > 0 };
  app.post('/v1/chat/completions', answering(chatRequest, chatCompletion, serving, http));
  app.post('/v1/completions', answering(completionRequest, completion, serving, http));
  for (const [path, handler] of Object.entries(adapterHandlers(serving, options, jsonOf)))
    app.post(path, handler);
  return app;
}

/** The names are vLLM's. */
function adapterHandlers(
  { engine }: Serving,
  { updatesAdapters }: AppOptions,
  jsonOf: ReadJson,
): Readonly<Record<string, Handler>> {
  const allowed = (): void => {
    if (!updatesAdapters)
      throw new ApiError(
        403,
        'adapters can be added and removed only where the server was started with --allow-adapter-updates',
      );
  };
  return {
    '/v1/load_lora_adapter': async (c) => {
      allowed();
      const { lora_name, lora_path } = readBody(loadRequest, await jsonOf(c));
      return c.json(modelObject(engine.add(lora_name, lora_path)));
    },
    '/v1/unload_lora_adapter': async (c) => {
      allowed();
      const { lora_name } = readBody(unloadRequest, await jsonOf(c));
      engine.remove(lora_name);
      return c.json({ id: lora_name, object: 'model', deleted: true });
    },
  };
}

function answering<T extends { readonly model: string }>(
  schema: z.ZodType<T>,
  answer: (serving: Serving, served: Served, request: T, out: Reply) => Promise<object | undefined>,
  serving: Serving,
  { jsonOf, hasOrigins }: { readonly jsonOf: ReadJson; readonly hasOrigins: boolean },
): Handler {
  return async (c) => {
    const request = readBody(schema, await jsonOf(c));
    // Nothing else sets any; and a Response of the web's, for these or for the answer, costs more than all else that HTTP does.
    const headers = hasOrigins ? Object.fromEntries(c.res.headers) : {};
    const out = { response: c.env.outgoing, headers };
    const whole = await serving.engine.use(request.model, (served) => answer(serving, served, request, out));
    if (whole) sendJson(out, whole);
    return RESPONSE_ALREADY_SENT;
  };
}

/** A body as it comes: a Request of the web's would be a stream around it, at half the cost of an answer. */
async function readJson(incoming: IncomingMessage, most: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming) {
      bytes += (chunk as Buffer).length;
      if (bytes <= most) chunks.push(chunk as Buffer);
      // Whoever is still writing would see nothing but a connection that breaks.
      else if (bytes > 8 * most) break;
    }
  } catch {
    throw new AbortError('the client has gone');
  }
  if (bytes > most) throw new ApiError(413, `the body is larger than ${most} bytes`);
  try {
    return JSON.parse(new TextDecoder().decode(Buffer.concat(chunks))) as unknown;
  } catch (error) {
    throw new ApiError(400, `the body is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
}

function counted({ metrics }: Serving) {
  return async (c: Context<Env>, next: () => Promise<void>): Promise<void> => {
    await next();
    // Addresses that there are not would be without number.
    const endpoint = c.res.status === 404 ? 'other' : c.req.path;
    metrics.requests.inc({
      endpoint,
      status: String(c.env.outgoing.headersSent ? c.env.outgoing.statusCode : c.res.status),
    });
  };
}

function authorized(keys: readonly string[]) {
  const wrong = {
    message: new ApiError(401, 'the API key is missing or wrong', { code: 'invalid_api_key' }).body,
  };
  return bearerAuth({
    ...{
      token: [...keys],
      noAuthenticationHeader: wrong,
      invalidAuthenticationHeader: wrong,
      invalidToken: wrong,
    },
  });
}

function faultReply(c: Context, error: unknown, { onFault }: AppOptions): Response {
  // Nobody is there to be told.
  if (error instanceof Error && error.name === 'AbortError') return c.body(null, 400);
  // What Hono's own parts refuse, they have the answer for.
  if (error instanceof HTTPException) return error.getResponse();
  const told = apiErrorOf(error);
  if (told.status === 500 || error instanceof MemoryError) onFault(error);
  if (told.retryAfter !== undefined) c.header('retry-after', String(told.retryAfter));
  return c.json(told.body, told.status);
}

function modelObject({ name, created, parent }: Served): object {
  return {
    ...{ id: name, object: 'model', created, owned_by: 'westwind' },
    ...(parent !== undefined && { parent, root: parent }),
  };
}

let pageText: string | undefined;

/** The page stands in src alone; from dist it is found there. */
function page(): string {
  const places = ['./page.html', '../../src/server/page.html'];
  const found = places.map((p) => fileURLToPath(new URL(p, import.meta.url))).find((p) => existsSync(p));
  if (found === undefined) throw new Error('the page is not where the package keeps it');
  return (pageText ??= readFileSync(found, 'utf8'));
}
