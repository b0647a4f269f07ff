/** A run's progress: bars on a terminal, plain lines elsewhere. */

import { SingleBar } from 'cli-progress';
import pc from 'picocolors';
import type { ResolvedConfig } from '../experiments/config/index.js';
import type { RunEvent, Stage } from '../experiments/run/events.js';

export interface Progress {
  show(event: RunEvent): void;
  /** A line of its own. */
  say(text: string): void;
  end(): void;
}

const STAGES: Readonly<Record<Stage, string>> = {
  zero_shot: 'zero-shot answers',
  few_shot: 'few-shot answers',
  train: 'training',
  tuned: 'tuned answers',
};

export function createProgress(config: ResolvedConfig, out: NodeJS.WriteStream): Progress {
  return out.isTTY ? new Bars(out) : new Lines(config, out);
}

type Step = RunEvent & { type: 'step' };

/** The rate over the last steps, and the time that the others will take at it. */
class Pace {
  private recent: { tokens: number; seconds: number }[] = [];

  add({ record }: Step): { tokensPerSecond: number; secondsLeft: number } {
    this.recent = [...this.recent.slice(-19), record];
    const seconds = this.recent.reduce((n, r) => n + r.seconds, 0);
    const tokens = this.recent.reduce((n, r) => n + r.tokens, 0);
    return {
      tokensPerSecond: tokens / seconds,
      secondsLeft: ((record.steps - record.step) * seconds) / this.recent.length,
    };
  }
}

class Bars implements Progress {
  private bar: SingleBar | undefined;
  private pace = new Pace();

  constructor(private readonly out: NodeJS.WriteStream) {}

  show(event: RunEvent): void {
    switch (event.type) {
      case 'run':
        this.say(`${event.finished ? 'finished before' : 'run folder'}: ${event.folder}`);
        break;
      case 'notice':
        this.say(pc.yellow(event.task === undefined ? event.text : `${event.task}: ${event.text}`));
        break;
      case 'stage':
        this.start(`${event.task}, ${STAGES[event.stage]}`, event.total, event.done);
        break;
      case 'answers':
        this.bar?.update(event.done);
        break;
      case 'step': {
        const { tokensPerSecond, secondsLeft } = this.pace.add(event);
        const { step, loss } = event.record;
        const info = `loss ${loss.toFixed(3)}  ${Math.round(tokensPerSecond)} tok/s  ${duration(secondsLeft)} left`;
        this.bar?.update(step, { info });
        break;
      }
      case 'result':
      case 'end':
      case 'failed':
        this.end();
    }
  }

  say(text: string): void {
    this.bar?.stop();
    this.out.write(`${text}\n`);
    this.bar = undefined;
  }

  end(): void {
    this.bar?.stop();
    this.bar = undefined;
  }

  private start(title: string, total: number, done: number): void {
    this.end();
    this.pace = new Pace();
    const format = `${title.padEnd(30)} {bar} {value}/{total}  {info}`;
    this.bar = new SingleBar({ format, barsize: 24, hideCursor: true, stream: this.out, fps: 5 });
    this.bar.start(total, done, { info: '' });
  }
}

class Lines implements Progress {
  private readonly every: ReadonlyMap<string, number>;
  private pace = new Pace();
  private stage = '';
  private next = 0;

  constructor(
    config: ResolvedConfig,
    private readonly out: NodeJS.WriteStream,
  ) {
    this.every = new Map(config.tasks.map((t) => [t.name, t.training.logging_steps]));
  }

  show(event: RunEvent): void {
    switch (event.type) {
      case 'run':
        this.say(`${event.finished ? 'finished before' : 'run folder'}: ${event.folder}`);
        break;
      case 'notice':
        this.say(event.task === undefined ? event.text : `${event.task}: ${event.text}`);
        break;
      case 'stage':
        this.stage = `${event.task}: ${STAGES[event.stage]}`;
        this.pace = new Pace();
        this.next = 0;
        this.say(
          event.done > 0 ? `${this.stage}, going on after ${event.done} of ${event.total}` : this.stage,
        );
        break;
      case 'answers':
        // A line for every quarter: a log is read later.
        if (event.done < this.next || event.done === 0) break;
        this.next = event.done + Math.max(1, Math.floor(event.total / 4));
        this.say(`${this.stage} ${event.done}/${event.total}`);
        break;
      case 'step': {
        const { step, steps, loss, learning_rate } = event.record;
        const { tokensPerSecond, secondsLeft } = this.pace.add(event);
        if (step % (this.every.get(event.task) ?? 10) !== 0 && step !== steps) break;
        this.say(
          `${event.task}: step ${step}/${steps}  loss ${loss.toFixed(4)}  lr ${learning_rate.toExponential(2)}  ` +
            `${Math.round(tokensPerSecond)} tok/s  ${duration(secondsLeft)} left`,
        );
        break;
      }
      case 'result':
      case 'end':
      case 'failed':
    }
  }

  say(text: string): void {
    this.out.write(`${text}\n`);
  }

  end(): void {
    // Lines leave nothing open.
  }
}

function duration(seconds: number): string {
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  const m = Math.floor(s / 60);
  return m < 60
    ? `${m}m${String(s % 60).padStart(2, '0')}s`
    : `${Math.floor(m / 60)}h${String(m % 60).padStart(2, '0')}m`;
}
