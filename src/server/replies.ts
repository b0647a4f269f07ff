/** What answers of all endpoints have. */

import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { apiErrorOf } from './errors.js';

/** Where an answer goes: `headers` are those that are set already, such as CORS's. */
export interface Reply {
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
}

/** `chatcmpl-…` */
export function newId(kind: string): string {
  return `${kind}-${randomBytes(12).toString('hex')}`;
}

/** Ends a stream that has begun with what went wrong; a client that has gone is told nothing. */
export function tellFault({ response }: Reply, error: unknown): void {
  if (response.destroyed) return;
  response.end(`data: ${JSON.stringify(apiErrorOf(error).body)}\n\n`);
}
