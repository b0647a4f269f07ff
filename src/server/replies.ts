/** What answers of all endpoints have. */

import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { apiErrorOf } from './errors.js';

/** `chatcmpl-…` */
export function newId(kind: string): string {
  return `${kind}-${randomBytes(12).toString('hex')}`;
}

/** Ends a stream that has begun with what went wrong; a client that has gone is told nothing. */
export function tellFault(out: ServerResponse, error: unknown): void {
  if (out.destroyed) return;
  out.end(`data: ${JSON.stringify(apiErrorOf(error).body)}\n\n`);
}
