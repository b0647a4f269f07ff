/** A run's progress: bars on a terminal, plain lines elsewhere. */

import { SingleBar, type Params } from 'cli-progress';
import type { RunEvent, Stage } from '../experiments/run/events.js';
import { methodName } from '../tasks/index.js';
import { columnsOf, oneLine } from '../util/visible.js';
import { lineOf, paint, screenColumns, type Painted } from './output.js';

export interface Progress {
  show(event: RunEvent): void;
  /** A line of its own. */
  say(text: string): void;
  end(): void;
}

const stageName = (stage: Stage): string => (stage === 'train' ? 'training' : `${methodName(stage)} answers`);

/** What is shown of runs: their names, and how often their steps are told where lines are written. */
export interface ShownRuns {
  /** Of a run's task. */
  name(run: number, task: string): string;
  /** Steps between lines, of so many. */
  every(run: number, task: string, steps: number): number;
  /** How many runs of a study there are; absent: it is one run. */
  readonly count?: number;
}

/** Shows on stderr how far a task's texts are encoded, of data that is so large that it takes long. */
export function encodingProgress(): (task: string, done: number, total: number) => void {
  const progress = createProgress({ name: (_, task) => task, every: () => 1 }, process.stderr);
  return (task, done, total) => progress.show({ type: 'encoding', task, done, total });
}

export function createProgress(runs: ShownRuns, out: NodeJS.WriteStream): Progress {
  const once = onceEach(runs);
  if (!out.isTTY) return new Lines(once, out);
  return once.count === undefined ? new Bars(once, out) : new StudyBar(once, once.count, out);
}

/** What is to be said of a notice: undefined for one that was told before, of another run or by another process. */
function onceEach(runs: ShownRuns): Shown {
  const told = new Set<string>();
  return {
    ...runs,
    notice: ({ task, text }) => {
      // Runs of a study that share a task share what is to be said of its data.
      const line = task === undefined ? text : `${task}: ${text}`;
      if (told.has(line)) return undefined;
      told.add(line);
      return line;
    },
  };
}

interface Shown extends ShownRuns {
  notice(event: RunEvent & { type: 'notice' }): string | undefined;
}

/** What stands on a bar's line, the most important first: what has no room is left out, from the last on. */
interface BarText {
  readonly title: string;
  readonly count: string;
  readonly rest: readonly string[];
}

const LONGEST_BAR = 24;
const SHORTEST_BAR = 8;

/** A bar's line, no wider than `columns`. `share`: of the bar that is full, from 0 to 1. */
export function barLine({ title, count, rest }: BarText, share: number, columns: number): string {
  // The last column makes some terminals begin a new line.
  const room = columns - 1;
  const parts = [count];
  let used = columnsOf(count) + 1 + SHORTEST_BAR;
  const name = shortened(
    title,
    Math.max(12, room - used - 2 - (rest[0] === undefined ? 0 : rest[0].length + 2)),
  );
  used += columnsOf(name) + 2;
  for (const part of rest) {
    if (used + 2 + columnsOf(part) > room) break;
    used += 2 + columnsOf(part);
    parts.push(part);
  }
  const size = Math.min(LONGEST_BAR, SHORTEST_BAR + Math.max(0, room - used));
  const full = Math.round(Math.min(1, Math.max(0, share)) * size);
  const line = `${name}  ${'█'.repeat(full)}${'░'.repeat(size - full)} ${parts.join('  ')}`;
  return columnsOf(line) > room ? shortened(line, room) : line;
}

/** Its beginning and its end, which is where names differ. */
function shortened(text: string, most: number): string {
  const line = oneLine(text);
  if (columnsOf(line) <= most) return line;
  const letters = Array.from(line);
  while (letters.length > 1 && columnsOf(letters.join('')) > most - 1) letters.splice(letters.length >> 1, 1);
  const half = (letters.length + 1) >> 1;
  return [...letters.slice(0, half), '…', ...letters.slice(half)].join('');
}

type Step = RunEvent & { type: 'step' };

/** 'eval loss 0.6931, accuracy 0.8125, best so far' */
function evaluationText({ record }: RunEvent & { type: 'evaluation' }): string {
  const figures = Object.entries({ loss: record.loss, ...record.metrics });
  const shown = figures.map(([name, figure]) => `${name} ${figure.toFixed(4)}`).join(', ');
  return `eval ${shown}${record.best ? ', best so far' : ''}`;
}

/** The same for a bar: 'eval 0.693 best' */
function evaluationPart({ record: { loss, metrics, best } }: RunEvent & { type: 'evaluation' }): string {
  const [figure = loss] = Object.values(metrics ?? {});
  return `eval ${(Number.isFinite(loss) ? loss : figure).toFixed(3)}${best ? ' best' : ''}`;
}

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
  /** The bar is of texts that are encoded. */
  private encoding = false;
  /** What the last step and the last evaluation came to. */
  private stepped: readonly [left: string, loss: string, rate: string] | undefined;
  private evaluated: readonly string[] = [];

  constructor(
    private readonly runs: Shown,
    private readonly out: NodeJS.WriteStream,
  ) {}

  show(event: RunEvent): void {
    switch (event.type) {
      case 'run':
        this.say(`${event.finished ? 'finished before' : 'run folder'}: ${event.folder}`);
        break;
      case 'notice':
        this.tell(this.runs.notice(event));
        break;
      case 'stage':
        this.start(
          `${this.runs.name(event.run, event.task)}, ${stageName(event.stage)}`,
          event.total,
          event.done,
        );
        break;
      case 'encoding':
        if (!this.encoding) this.start(`${event.task}, encoding`, event.total, event.done);
        this.bar?.update(event.done);
        this.encoding = event.done < event.total;
        if (!this.encoding) this.end();
        break;
      case 'answers':
        this.bar?.update(event.done);
        break;
      case 'step': {
        const { tokensPerSecond, secondsLeft } = this.pace.add(event);
        const { step, loss } = event.record;
        this.stepped = [
          `${duration(secondsLeft)} left`,
          `loss ${loss.toFixed(3)}`,
          `${Math.round(tokensPerSecond)} tok/s`,
        ];
        this.bar?.update(step, { rest: this.rest });
        break;
      }
      case 'evaluation':
        this.evaluated = [evaluationPart(event)];
        this.bar?.update({ rest: this.rest });
        break;
      case 'result':
      case 'fault':
      case 'plan':
      case 'end':
      case 'failed':
        this.end();
    }
  }

  /** The rate comes last: it is what can be left out. */
  private get rest(): string[] {
    const [left, loss, rate] = this.stepped ?? [];
    return [left, loss, ...this.evaluated, rate].filter((part) => part !== undefined);
  }

  say(text: string | Painted): void {
    this.bar?.stop();
    this.out.write(`${lineOf(text)}\n`);
    this.bar = undefined;
  }

  private tell(notice: string | undefined): void {
    if (notice !== undefined) this.say(paint('yellow', notice));
  }

  end(): void {
    this.bar?.stop();
    this.bar = undefined;
  }

  private start(title: string, total: number, done: number): void {
    this.end();
    this.pace = new Pace();
    this.stepped = undefined;
    this.evaluated = [];
    this.bar = barOf(this.out, (params, payload) => ({
      // Where more is to be said there is no room to stand below one another.
      title: this.evaluated.length > 0 ? title : title.padEnd(26),
      count: `${params.value}/${params.total}`,
      rest: payload.rest,
    }));
    this.bar.start(total, done, { rest: [] });
  }
}

/** A bar on a terminal whose line is made anew each time it is drawn, as wide as the terminal is then. */
export function barOf(
  out: NodeJS.WriteStream,
  textOf: (params: Params, payload: { readonly rest: readonly string[] }) => BarText,
): SingleBar {
  return new SingleBar({
    format: (_, params, payload: { readonly rest: readonly string[] }) =>
      barLine(textOf(params, payload), params.progress, screenColumns(out) ?? 80),
    ...{ hideCursor: true, stream: out, fps: 5 },
  });
}

/** A study on a terminal: one bar over its runs, and what is under way behind it. */
class StudyBar implements Progress {
  private readonly bar: SingleBar;
  private readonly ended = new Set<number>();
  private pace = new Pace();
  /** By run: what its last evaluation came to. */
  private readonly evaluated = new Map<number, string>();
  /** The run that was heard of last, and what is to be said of it. */
  private title = '';
  private rest: readonly string[] = [];

  constructor(
    private readonly runs: Shown,
    count: number,
    private readonly out: NodeJS.WriteStream,
  ) {
    this.bar = barOf(out, ({ value, total }) => ({
      title: `${value}/${total} runs`,
      count: this.title,
      rest: this.rest,
    }));
    this.bar.start(count, 0);
  }

  show(event: RunEvent): void {
    switch (event.type) {
      case 'notice': {
        const notice = this.runs.notice(event);
        if (notice !== undefined) this.say(paint('yellow', notice));
        break;
      }
      case 'fault':
        this.ended.add(event.run);
        this.say(paint('red', faultText(this.runs, event)));
        break;
      case 'result':
        this.ended.add(event.run);
        break;
      case 'stage':
        this.pace = new Pace();
        this.about(event, [stageName(event.stage)]);
        break;
      case 'encoding':
        this.title = event.task;
        this.rest = [`encoding ${event.done}/${event.total}`];
        break;
      case 'answers':
        this.about(event, [`${stageName(event.stage)} ${event.done}/${event.total}`]);
        break;
      case 'step': {
        const { tokensPerSecond, secondsLeft } = this.pace.add(event);
        const { step, steps, loss } = event.record;
        this.about(event, [
          `step ${step}/${steps}, ${duration(secondsLeft)} left`,
          `loss ${loss.toFixed(3)}`,
          ...(this.evaluated.has(event.run) ? [this.evaluated.get(event.run)!] : []),
          `${Math.round(tokensPerSecond)} tok/s`,
        ]);
        break;
      }
      case 'evaluation':
        this.evaluated.set(event.run, evaluationPart(event));
        break;
      case 'run':
      case 'plan':
      case 'end':
      case 'failed':
    }
    this.bar.update(this.ended.size);
  }

  private about(
    { run, task }: { readonly run: number; readonly task: string },
    rest: readonly string[],
  ): void {
    // What is said of it comes before its whole name.
    const room = (screenColumns(this.out) ?? 80) - 30 - columnsOf(rest[0] ?? '');
    this.title = shortened(this.runs.name(run, task), Math.max(12, room));
    this.rest = rest;
  }

  say(text: string | Painted): void {
    // Above the bar, which is drawn again below it.
    this.out.write(`\r\x1b[K${lineOf(text)}\n`);
    this.bar.render();
  }

  end(): void {
    this.bar.stop();
  }
}

function faultText(runs: ShownRuns, { run, message }: RunEvent & { type: 'fault' }): string {
  return `${runs.name(run, '')}: failed: ${message.split('\n')[0]!}`;
}

class Lines implements Progress {
  private readonly paces = new Map<number, Pace>();
  /** Where the next line of encoded texts is due. */
  private nextEncoded = 0;
  /** By run: where the next line of answers is due. */
  private readonly next = new Map<number, number>();

  constructor(
    private readonly runs: Shown,
    private readonly out: NodeJS.WriteStream,
  ) {}

  show(event: RunEvent): void {
    switch (event.type) {
      case 'run':
        if (this.runs.count === undefined)
          this.say(`${event.finished ? 'finished before' : 'run folder'}: ${event.folder}`);
        break;
      case 'notice': {
        const notice = this.runs.notice(event);
        if (notice !== undefined) this.say(notice);
        break;
      }
      case 'fault':
        this.say(faultText(this.runs, event));
        break;
      case 'stage': {
        const stage = `${this.runs.name(event.run, event.task)}: ${stageName(event.stage)}`;
        this.paces.set(event.run, new Pace());
        this.next.set(event.run, 0);
        this.say(event.done > 0 ? `${stage}, going on after ${event.done} of ${event.total}` : stage);
        break;
      }
      case 'encoding': {
        const { task, done, total } = event;
        if (done < this.nextEncoded && done < total) break;
        this.say(`${task}: encoding ${done}/${total}`);
        this.nextEncoded = done < total ? done + Math.max(1, Math.floor(total / 10)) : 0;
        break;
      }
      case 'answers': {
        // A line for every quarter: a log is read later.
        const { run, task, done, total } = event;
        if (done < (this.next.get(run) ?? 0) || done === 0) break;
        this.next.set(run, done + Math.max(1, Math.floor(total / 4)));
        this.say(`${this.runs.name(run, task)}: ${stageName(event.stage)} ${done}/${total}`);
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
      case 'evaluation':
        this.say(
          `${this.runs.name(event.run, event.task)}: step ${event.record.step}  ${evaluationText(event)}`,
        );
        break;
      case 'result':
      case 'plan':
      case 'end':
      case 'failed':
    }
  }

  say(text: string): void {
    this.out.write(`${lineOf(text)}\n`);
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
