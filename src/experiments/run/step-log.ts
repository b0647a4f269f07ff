/** A training's steps and evaluations, told to all who hear of them. */

import type { EvaluationRecord } from '../../train/evaluations.js';
import type { StepRecord } from '../../train/trainer.js';
import { TASK_FILES } from '../store/layout.js';
import type { RecordWriter } from '../store/records.js';
import type { LoggedEvaluation, LoggedStep } from '../store/steps.js';
import type { TrainedUnit } from './lanes.js';
import { type Shared, tellRecorded } from './unit.js';

/** A unit's records as they come: in its folder, to those who are told, and on the screen. */
export class StepLog {
  private readonly written: Set<number>;
  private readonly writer: RecordWriter<LoggedStep>;
  private readonly evaluated: Set<number>;
  private readonly evaluations: RecordWriter<LoggedEvaluation>;

  constructor(
    private readonly shared: Shared,
    private readonly member: TrainedUnit,
  ) {
    const { unit, notices } = member;
    for (const text of notices) shared.emit({ type: 'notice', ...this.about, text });
    this.written = new Set(TASK_FILES.steps.read(unit.folder).map((s) => s.step));
    this.writer = TASK_FILES.steps.writer(unit.folder);
    this.evaluated = new Set(TASK_FILES.evaluations.read(unit.folder).map((e) => e.step));
    this.evaluations = TASK_FILES.evaluations.writer(unit.folder);
  }

  private get about(): { run: number; task: string } {
    const { run, settings } = this.member.unit;
    return { run, task: settings.name };
  }

  start(done: number): void {
    const { steps } = this.member;
    this.shared.emit({
      type: 'stage',
      ...this.about,
      stage: 'train',
      done: Math.min(done, steps),
      total: steps,
    });
  }

  step(of: StepRecord): void {
    const { unit, steps } = this.member;
    const record = { ...of, steps };
    // Steps that a resumed run repeats after a kill stand there already, with the same figures.
    if (!this.written.has(record.step)) {
      const logged = { ...record, time: Date.now() / 1000 };
      this.writer.append(logged);
      tellRecorded(this.shared, unit);
    }
    this.written.add(record.step);
    this.shared.emit({ type: 'step', ...this.about, record });
  }

  evaluation(record: EvaluationRecord): void {
    if (!this.evaluated.has(record.step)) {
      this.evaluations.append({ ...record, time: Date.now() / 1000 });
      tellRecorded(this.shared, this.member.unit);
    }
    this.evaluated.add(record.step);
    this.shared.emit({ type: 'evaluation', ...this.about, record });
  }
}
