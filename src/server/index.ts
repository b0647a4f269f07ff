/** An HTTP server with OpenAI's API over one base model and its adapters. */

import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { createApp, type AppOptions } from './app.js';
import type { Engine } from './engine.js';
import { Metrics } from './metrics.js';

export { Engine, type EngineOptions } from './engine.js';

/** Who may ask the server, and how much. */
export interface ServerOptions extends AppOptions {
  /** Seconds for a request, at the most. */
  readonly timeout: number;
}

/** To be listened with. `close` of the engine first, then of the server, ends all in order. */
export function createApiServer(engine: Engine, { timeout, ...app }: ServerOptions): Server {
  const { fetch } = createApp({ engine, timeout, metrics: new Metrics(engine) }, app);
  const options = { overrideGlobalObjects: false };
  const answer = getRequestListener((request, env) => fetch(request, env), options);
  return createServer((incoming, outgoing) => void answer(incoming, outgoing));
}
