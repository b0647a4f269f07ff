/** What stops a trial of a search: the same decisions however often it was killed, and whatever becomes of the others later. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  parseStudy,
  type Fingerprints,
  type LoadedConfig,
  type ResolvedConfig,
} from '../../../src/experiments/config/index.js';
import { rivalFolders, rivalry } from '../../../src/experiments/run/rivals.js';
import { runPath } from '../../../src/experiments/store/folder.js';
import { TASK_FILES } from '../../../src/experiments/store/layout.js';
import { isRung, standingOf } from '../../../src/train/halving.js';
import { UserError } from '../../../src/util/errors.js';

const root = mkdtempSync(join(tmpdir(), 'westwind-rivals-'));
after(() => rmSync(root, { recursive: true, force: true }));

const TRIALS = 6;
const EVALUATIONS = 5;

const CONFIGS = parseStudy(
  JSON.stringify({
    model_name_or_path: 'm',
    lora: {},
    search: { method: 'asha', trials: TRIALS, reduction_factor: 2 },
    training: { learning_rate: { low: 1e-5, high: 1e-3 }, eval_strategy: 'epoch' },
    tasks: {
      t: {
        task: 'classification',
        train: { path: 'x' },
        validation: { path: 'v' },
        test: { path: 'y' },
        baselines: [],
      },
    },
  }),
).map(({ config }) => config);

/** A trial that is trained as far as somebody lets it, with what its folder holds. */
class Trial {
  readonly folder: string;
  /** Evaluations made since it last began. */
  private made = 0;
  ended = false;
  waits = false;
  private readonly asks: (evaluation: number) => boolean | 'later';
  readonly notices: string[] = [];

  constructor(
    place: string,
    private readonly number: number,
    private readonly figures: readonly number[],
    config: ResolvedConfig,
    isUnderWay: (folder: string) => boolean,
  ) {
    const folderOf = (trial: number): string => join(place, String(trial), 't');
    this.folder = folderOf(number);
    mkdirSync(this.folder, { recursive: true });
    const rivals = Array.from({ length: number - 1 }, (_, i) => folderOf(i + 1));
    const unit = { run: number - 1, config, settings: config.tasks[0]!, folder: this.folder, rivals };
    const emit = (event: object): unknown => 'text' in event && this.notices.push(String(event.text));
    this.asks = rivalry({ emit }, unit, isUnderWay)!;
  }

  /** The next evaluation, its record where it has none, and what follows; where it waits it asks again. */
  go(): void {
    if (this.waits) {
      this.ask();
      return;
    }
    const step = ++this.made;
    const file = TASK_FILES.evaluations;
    if (file.read(this.folder).length < step) {
      const record = { step, epoch: step, loss: this.figures[step - 1]!, best: false, seconds: 1, time: 1 };
      file.writer(this.folder).append(record);
    }
    this.ask();
  }

  private ask(): void {
    const ends = this.made === EVALUATIONS || (this.made > 0 && this.asks(this.made));
    this.waits = ends === 'later';
    this.ended = ends === true;
  }

  /** Goes on from a checkpoint behind so many evaluations at most. */
  kill(evaluations: number): void {
    this.made = Math.min(this.made, evaluations);
    this.ask();
  }

  get stopped(): number | undefined {
    return TASK_FILES.rungs.read(this.folder).find(({ stop }) => stop)?.evaluation;
  }

  get name(): string {
    return `trial ${this.number}`;
  }
}

let places = 0;

/** Those that are trained side by side. */
let together: readonly Trial[] = [];

function search(figures: readonly (readonly number[])[]): Trial[] {
  const place = join(root, String(places++));
  const trials: Trial[] = figures.map((row, i) => new Trial(place, i + 1, row, CONFIGS[i]!, isUnderWay));
  /** All that are there at once, but for those that have ended. */
  function isUnderWay(folder: string): boolean {
    return together.some((trial) => trial.folder === folder && !trial.ended);
  }
  return trials;
}

const TABLE = fc.array(
  fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(Number.NaN)), {
    minLength: EVALUATIONS,
    maxLength: EVALUATIONS,
  }),
  { minLength: TRIALS, maxLength: TRIALS },
);
const HOW = { reduction_factor: 2, grace_period: 1, greater_is_better: false };

test('a search decides the same however often it is killed, and however many trials are trained side by side', () => {
  const happening = fc.record({
    kill: fc.option(fc.nat(EVALUATIONS - 1), { nil: undefined, freq: 4 }),
    whose: fc.nat(TRIALS - 1),
  });
  const happenings = fc.array(happening, { maxLength: 80 });
  fc.assert(
    fc.property(TABLE, fc.integer({ min: 1, max: TRIALS }), happenings, (figures, side, happened) => {
      const trials = search(figures);
      const left = [...happened];
      for (let first = 0; first < TRIALS; first += side) {
        together = trials.slice(first, first + side);
        for (let turn = 0; ; turn++) {
          const running = together.filter(({ ended }) => !ended);
          if (running.length === 0) break;
          const { kill, whose } = left.pop() ?? { whose: turn };
          // A kill ends all of them, and each goes on from a checkpoint of its own.
          if (kill === undefined) running[whose % running.length]!.go();
          else for (const [i, trial] of running.entries()) trial.kill((kill + i) % EVALUATIONS);
        }
      }
      const reached: number[][] = [];
      const expected = figures.map((row) => {
        const at = row.slice(0, -1).findIndex((figure, i) => {
          const before = reached.flatMap((other) => other[i] ?? []);
          return isRung(i + 1, HOW) && standingOf(figure, before, HOW).stop;
        });
        reached.push(at === -1 ? row : row.slice(0, at + 1));
        return at === -1 ? undefined : at + 1;
      });
      assert.deepEqual(
        trials.map(({ stopped }) => stopped),
        expected,
      );
      for (const { stopped, notices, name } of trials) {
        assert.equal(notices.length > 0, stopped !== undefined);
        for (const notice of notices)
          assert.match(notice, new RegExp(`^${name} stops behind step \\d: loss`));
      }
    }),
    { numRuns: 40 },
  );
});

test('a decision stays, whatever becomes of those that it was made by', () => {
  const [first, second] = search([
    [3, 3, 3, 3, 3],
    [5, 1, 1, 1, 1],
  ]) as [Trial, Trial];
  while (!first.ended) first.go();
  second.go();
  assert.deepEqual([second.ended, second.stopped], [true, 1]);
  const [rung] = TASK_FILES.rungs.read(second.folder);
  assert.deepEqual(rung, {
    ...{ evaluation: 1, step: 1, metric: 'loss', figure: 5, tried: 2, cutoff: 3, stop: true },
  });
  rmSync(first.folder, { recursive: true });
  second.ended = false;
  second.kill(1);
  assert.equal(second.ended, true);
  assert.equal(TASK_FILES.rungs.read(second.folder).length, 1);
});

test('a trial without its search is refused, for it may stop where the others say', async () => {
  const runs = CONFIGS.map((config) => ({ config, source: { path: 'copy.yaml', text: '' } }));
  const prints = { model: 'M', backend: 'B', batchInvariant: true, data: {} };
  const of = (one: LoadedConfig): Promise<Fingerprints> => {
    const data = { 't.train': 'X', 't.test': 'Y', 't.validation': 'Z' };
    return one === runs[1] ? Promise.reject(new UserError('gone')) : Promise.resolve({ ...prints, data });
  };
  const third = runs[2]!;
  // Some of them in the order, one of them without its files.
  const folders = await rivalFolders(
    third,
    { runs: runs.slice(2), others: runs.slice(0, 2), study: true },
    { of },
  );
  assert.deepEqual(folders, [runPath(runs[0]!, await of(runs[0]!))]);
  await assert.rejects(
    rivalFolders(third, { runs: [third], study: false }, { of }),
    (error) =>
      error instanceof UserError &&
      /^copy\.yaml is trial 3 of a search, which the trials before/.test(error.message),
  );
  const { search, ...plain } = third.config;
  assert.ok(search);
  assert.deepEqual(await rivalFolders({ ...third, config: plain }, { runs, study: false }, { of }), []);
});
