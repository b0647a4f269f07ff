/** OpenAI's API over HTTP, in a program of one's own. */
export { createApiServer, Engine, type EngineOptions, type ServerOptions } from '../server/index.js';
