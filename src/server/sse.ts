/** Server-sent events to a client, written as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html */

import { apiErrorOf } from './errors.js';
import type { Reply } from './replies.js';

/**
 * An answer as a stream, which opens with its first event. Rejects with what goes wrong before that; of what goes wrong later the stream
 * tells at its end.
 */
export async function streamed(
  out: Reply,
  answer: (send: (data: object) => void) => Promise<void>,
): Promise<void> {
  let opened: EventStream | undefined;
  const open = (): EventStream => (opened ??= new EventStream(out));
  try {
    await answer((data) => open().send(data));
    open().end();
  } catch (error) {
    if (!opened) throw error;
    opened.fail(error);
  }
}

class EventStream {
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

  /** Ends with what went wrong; a client that has gone is told nothing. */
  fail(error: unknown): void {
    if (this.out.destroyed) return;
    this.out.end(`data: ${JSON.stringify(apiErrorOf(error).body)}\n\n`);
  }
}
