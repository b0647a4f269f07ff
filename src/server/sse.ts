/** Server-sent events to a client, written as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html */

import type { Reply } from './replies.js';

export class EventStream {
  private readonly out: Reply['response'];

  constructor({ response, headers }: Reply) {
    this.out = response;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Proxies would hold it back.
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
  }

  send(data: object): void {
    this.out.write(`data: ${JSON.stringify(data)}\n\n`);
  }

  end(): void {
    this.out.end('data: [DONE]\n\n');
  }
}
