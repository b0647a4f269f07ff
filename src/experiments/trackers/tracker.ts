/**
 * What a tracker is, and what it is told: a task of a run has begun or gone on; what was recorded of it, it asks for. So what it has
 * missed, by a kill or because others were asked to be told, it is told the next time.
 */

/** Figures by name. */
export type Scalars = Readonly<Record<string, number>>;

export interface ScalarEvent {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
  readonly scalars: Scalars;
}

/** A task of a run, as far as it is recorded. */
export interface TrackedTask {
  readonly name: string;
  /** Its part of the run's folder, in which a tracker may keep a file of its own. */
  readonly folder: string;
  /** The configuration's word to trackers. */
  readonly trackers: TrackerSettings;
  /** All figures are there. */
  readonly finished: boolean;
  /** What it is. Throws UserError where that cannot be read. */
  about(): TrackedRun;
  /** The names of a step's figures, in their order. */
  readonly stepFigures: readonly string[];
  /** The steps that were recorded since an earlier call ended at `from`; 0: all. Throws UserError where they are damaged. */
  steps(from: number): { readonly events: readonly ScalarEvent[]; readonly end: number };
  /** The name of a figure that every evaluation has. */
  readonly evaluationFigure: string;
  /** What its evaluations came to so far. Throws UserError where they are damaged. */
  evaluations(): readonly ScalarEvent[];
  /**
   * What each method scored, once it is finished: transformers' names, eval of the tuned model; test where eval are the evaluations on its
   * way.
   */
  figures(): readonly ScalarEvent[];
}

export interface TrackedRun {
  readonly id: string;
  /** As ISO 8601 has it. */
  readonly started: string;
  /** The program: its version, its code's hash, its commit. */
  readonly westwind: string;
  readonly code?: string;
  readonly commit?: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface TrackerSettings {
  readonly mlflow: { readonly tracking_uri?: string; readonly experiment_name?: string };
}

/** How the process that runs were shown by came to its end. */
export type TrackingEnd = 'finished' | 'stopped' | 'failed';

export interface Tracker {
  /** The task has begun, or something was recorded of it. */
  see(task: TrackedTask): void;
  /** Nothing more comes. */
  end?(how: TrackingEnd): Promise<void>;
  /** Ends at once what `end` may be waiting for. */
  abort?(): void;
}

/** A line of the table of trackers. */
export interface TrackerKind {
  /**
   * Who tells it: the process that computes, as each record is written, so that its faults are the run's; or the one that shows the run, which
   * has nothing else to do.
   */
  readonly toldBy: 'computing' | 'showing';
  /** `notice`: tells a person something. */
  readonly start: (notice: (text: string) => void) => Tracker;
}
