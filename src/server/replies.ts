/** What answers of all endpoints have. */

import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** Where an answer goes: `headers` are those that are set already, such as CORS's. */
export interface Reply {
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
}

/** `chatcmpl-…` */
export function newId(kind: string): string {
  return `${kind}-${randomBytes(12).toString('hex')}`;
}

export function sendJson({ response, headers }: Reply, value: object): void {
  const body = JSON.stringify(value);
  const length = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  response.writeHead(200, { ...headers, ...length }).end(body);
}
