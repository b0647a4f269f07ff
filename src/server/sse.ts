/** Server-sent events to a client, written as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html */

import type { ServerResponse } from 'node:http';

export class EventStream {
  /** `headers`: those that are set already, such as CORS's. */
  constructor(
    private readonly out: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ) {
    out.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Proxies would hold it back.
      'x-accel-buffering': 'no',
    });
    out.flushHeaders();
  }

  send(data: object): void {
    this.out.write(`data: ${JSON.stringify(data)}\n\n`);
  }

  end(): void {
    this.out.end('data: [DONE]\n\n');
  }
}
