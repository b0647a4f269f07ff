/** A run's progress: bars on a terminal, plain lines elsewhere. */

import { SingleBar } from 'cli-progress';
import pc from 'picocolors';
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

/** What is shown of runs: their names, and how often their steps are told where lines are written. */
export interface ShownRuns {
  /** Of a run's task. */
  name(run: number, task: string): string;
  /** Steps between lines, of so many. */
  every(run: number, task: string, steps: number): number;
  /** How many runs of a study there are; absent: it is one run. */
  readonly count?: number;
}

export function createProgress(runs: ShownRuns, out: NodeJS.WriteStream): Progress {
  if (!out.isTTY) return new Lines(runs, out);
  return runs.count === undefined ? new Bars(runs, out) : new StudyBar(runs, runs.count, out);
}

type Step = RunEvent & { type: 'step' };

/**
 * The rate over the last steps, and the time that the others will take at it: by the time that goes by here, of which a step's own seconds
 * are a part where others are trained beside it.
 */
class Pace {
  private recent: { tokens: number; seconds: number }[] = [];
  private last = performance.now();

  add({ record }: Step): { tokensPerSecond: number; secondsLeft: number } {
    const now = performance.now();
    this.recent = [...this.recent.slice(-19), { tokens: record.tokens, seconds: (now - this.last) / 1000 }];
    this.last = now;
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

  constructor(
    private readonly runs: ShownRuns,
    private readonly out: NodeJS.WriteStream,
  ) {}

  show(event: RunEvent): void {
    switch (event.type) {
      case 'run':
        this.say(`${event.finished ? 'finished before' : 'run folder'}: ${event.folder}`);
        break;
      case 'notice':
        this.say(pc.yellow(noticeText(this.runs, event)));
        break;
      case 'stage':
        this.start(
          `${this.runs.name(event.run, event.task)}, ${STAGES[event.stage]}`,
          event.total,
          event.done,
        );
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
      case 'fault':
      case 'plan':
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

/** A study on a terminal: one bar over its runs, and what is under way behind it. */
class StudyBar implements Progress {
  private readonly bar: SingleBar;
  private readonly ended = new Set<number>();
  private pace = new Pace();
  private info = '';

  constructor(
    private readonly runs: ShownRuns,
    count: number,
    private readonly out: NodeJS.WriteStream,
  ) {
    const format = '{bar} {value}/{total} runs  {info}';
    this.bar = new SingleBar({ format, barsize: 24, hideCursor: true, stream: out, fps: 5 });
    this.bar.start(count, 0, { info: '' });
  }

  show(event: RunEvent): void {
    switch (event.type) {
      case 'notice':
        this.say(pc.yellow(noticeText(this.runs, event)));
        break;
      case 'fault':
        this.ended.add(event.run);
        this.say(pc.red(faultText(this.runs, event)));
        break;
      case 'result':
        this.ended.add(event.run);
        break;
      case 'stage':
        this.pace = new Pace();
        this.info = `${this.runs.name(event.run, event.task)}: ${STAGES[event.stage]}`;
        break;
      case 'answers':
        this.info = `${this.runs.name(event.run, event.task)}: ${STAGES[event.stage]} ${event.done}/${event.total}`;
        break;
      case 'step': {
        const { tokensPerSecond, secondsLeft } = this.pace.add(event);
        const { step, steps, loss } = event.record;
        this.info =
          `${this.runs.name(event.run, event.task)}: step ${step}/${steps}  loss ${loss.toFixed(3)}  ` +
          `${Math.round(tokensPerSecond)} tok/s  ${duration(secondsLeft)} left`;
        break;
      }
      case 'run':
      case 'plan':
      case 'end':
      case 'failed':
    }
    this.bar.update(this.ended.size, { info: this.info.slice(0, Math.max(20, this.out.columns - 50)) });
  }

  say(text: string): void {
    // Above the bar, which is drawn again below it.
    this.out.write(`\r\x1b[K${text}\n`);
    this.bar.render();
  }

  end(): void {
    this.bar.stop();
  }
}

function noticeText(runs: ShownRuns, { run, task, text }: RunEvent & { type: 'notice' }): string {
  return run === undefined || task === undefined ? text : `${runs.name(run, task)}: ${text}`;
}

function faultText(runs: ShownRuns, { run, message }: RunEvent & { type: 'fault' }): string {
  return `${runs.name(run, '')}: failed: ${message}`;
}

class Lines implements Progress {
  private readonly paces = new Map<number, Pace>();
  /** By run: where the next line of answers is due. */
  private readonly next = new Map<number, number>();

  constructor(
    private readonly runs: ShownRuns,
    private readonly out: NodeJS.WriteStream,
  ) {}

  show(event: RunEvent): void {
    switch (event.type) {
      case 'run':
        if (this.runs.count === undefined)
          this.say(`${event.finished ? 'finished before' : 'run folder'}: ${event.folder}`);
        break;
      case 'notice':
        this.say(noticeText(this.runs, event));
        break;
      case 'fault':
        this.say(faultText(this.runs, event));
        break;
      case 'stage': {
        const stage = `${this.runs.name(event.run, event.task)}: ${STAGES[event.stage]}`;
        this.paces.set(event.run, new Pace());
        this.next.set(event.run, 0);
        this.say(event.done > 0 ? `${stage}, going on after ${event.done} of ${event.total}` : stage);
        break;
      }
      case 'answers': {
        // A line for every quarter: a log is read later.
        const { run, task, done, total } = event;
        if (done < (this.next.get(run) ?? 0) || done === 0) break;
        this.next.set(run, done + Math.max(1, Math.floor(total / 4)));
        this.say(`${this.runs.name(run, task)}: ${STAGES[event.stage]} ${done}/${total}`);
        break;
      }
      case 'step': {
        const { run, task, record } = event;
        const { step, steps, loss, learning_rate } = record;
        const { tokensPerSecond, secondsLeft } = this.paces.get(run)!.add(event);
        if (step % this.runs.every(run, task, steps) !== 0 && step !== steps) break;
        this.say(
          `${this.runs.name(run, task)}: step ${step}/${steps}  loss ${loss.toFixed(4)}  lr ${learning_rate.toExponential(2)}  ` +
            `${Math.round(tokensPerSecond)} tok/s  ${duration(secondsLeft)} left`,
        );
        break;
      }
      case 'result':
      case 'plan':
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
