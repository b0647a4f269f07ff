/** What Prometheus is told: https://prometheus.io/docs/instrumenting/exposition_formats. */

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Engine } from './engine.js';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

export class Metrics {
  readonly registry = new Registry();
  readonly requests: Counter<'endpoint' | 'status'>;
  readonly promptTokens: Counter;
  readonly generatedTokens: Counter;
  readonly firstToken: Histogram;
  readonly whole: Histogram;

  constructor(engine: Engine) {
    // Memory, processor time, and how long the event loop was held up.
    collectDefaultMetrics({ register: this.registry });
    const registers = [this.registry];
    this.requests = new Counter({
      ...{ name: 'westwind_requests_total', help: 'Requests that were answered.', registers },
      labelNames: ['endpoint', 'status'],
    });
    this.promptTokens = new Counter({
      ...{ name: 'westwind_prompt_tokens_total', help: 'Tokens of prompts.', registers },
    });
    this.generatedTokens = new Counter({
      ...{ name: 'westwind_generation_tokens_total', help: 'Tokens of answers.', registers },
    });
    this.firstToken = new Histogram({
      ...{ name: 'westwind_time_to_first_token_seconds', help: 'From a request to its first token.' },
      ...{ registers, buckets: SECONDS },
    });
    this.whole = new Histogram({
      ...{ name: 'westwind_request_seconds', help: 'From a request to the end of its answers.' },
      ...{ registers, buckets: SECONDS },
    });
    for (const [name, help, of] of [
      ['running', 'Answers that grow.', () => engine.load.running],
      ['waiting', 'Answers that wait for a place.', () => engine.load.waiting],
    ] as const)
      new Gauge({
        ...{ name: `westwind_answers_${name}`, help, registers },
        collect() {
          this.set(of());
        },
      });
  }
}
