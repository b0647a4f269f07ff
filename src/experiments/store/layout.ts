/**
 * What a run's folder holds: every file once, by the name it has there, with its type, and its schema where it is read again. What a tracker
 * keeps there stands in the tracker's own file (src/experiments/trackers).
 */

import { z } from 'zod';
import { ADAPTER_FOLDER, MANIFEST_FILE } from '../config/trained-adapter.js';
import type { KeptRow } from '../data/shown-rows.js';
import type { Certificate } from './certificate.js';
import type { ChecksFile } from './check-figures.js';
import { JsonFile, LinesFile } from './files.js';
import type { Manifest } from './manifest.js';
import type { AnsweredBy, Prediction } from './predictions.js';
import type { MethodResult, TaskResult } from './results.js';
import {
  certificateSchema,
  checksSchema,
  evaluationSchema,
  failureSchema,
  inspectedSchema,
  manifestSchema,
  predictionSchema,
  resultSchema,
  rungSchema,
  stepSchema,
  trainedSchema,
} from './schemas.js';
import type { LoggedEvaluation, LoggedRung, LoggedStep } from './steps.js';

const RUN_AGAIN = 'remove it, and run its configuration again';

/** In the run's folder itself. */
export const RUN_FILES = {
  /** What the run is, and which program and machine computed it: a folder that has it is a run's. */
  manifest: new JsonFile<Manifest>(
    MANIFEST_FILE,
    manifestSchema,
    'remove the folder, and run its configuration again',
  ),
  /** The configuration's own text, as it was given. `path`: of its file. */
  configuration: (path: string) => (path.endsWith('.json') ? 'config.json' : 'config.yaml'),
  /** The process at work on it. */
  lock: 'running.pid',
  /** Why a run of a study ended without a result. */
  failure: new JsonFile<{ readonly message: string; readonly at: string }>(
    'failed.json',
    failureSchema,
    RUN_AGAIN,
  ),
  /** All tasks' figures: the run is finished. */
  results: new JsonFile<readonly TaskResult[]>('results.json', z.array(resultSchema), RUN_AGAIN),
  /** The same as a table for people. */
  table: 'report.md',
} as const;

/** In a task's folder within it, which has the task's name. */
export const TASK_FILES = {
  /** A line a step of training. */
  steps: new LinesFile<LoggedStep>('train.jsonl', stepSchema),
  /** A line an evaluation of it. */
  evaluations: new LinesFile<LoggedEvaluation>('eval.jsonl', evaluationSchema),
  /** A line each time that its search was asked whether it goes on. */
  rungs: new LinesFile<LoggedRung>('rungs.jsonl', rungSchema),
  /** Some training rows, token by token. */
  inspected: new JsonFile<readonly KeptRow[]>('inspected.json', inspectedSchema, RUN_AGAIN),
  /** While it trains. */
  checkpoints: 'checkpoints',
  /** What was trained: an adapter, or the whole model. */
  adapter: ADAPTER_FOLDER,
  model: 'model',
  /** What was trained is whole. */
  trained: new JsonFile<{ readonly steps: number }>('trained.json', trainedSchema, RUN_AGAIN, 0),
  /** A line an answer. */
  predictions: (method: MethodResult['method'], by: AnsweredBy) =>
    new LinesFile<Prediction>(
      `predictions-${method}${by === 'likelihood' ? '-likelihood' : ''}.jsonl`,
      predictionSchema,
    ),
  /** The task's figures: it is done. */
  result: new JsonFile<TaskResult>('result.json', resultSchema, RUN_AGAIN),
  /** What the configuration's checks came to. */
  checks: (method: MethodResult['method']) =>
    new JsonFile<ChecksFile>(`checks-${method}.json`, checksSchema, 'remove it, and it is made again'),
  /** A copy of an exported file's certificate: the file may go. */
  certificate: (format: string, type: string) =>
    certificateFile(`certificate-${format}-${type}.json`.toLowerCase()),
} as const;

/** Beside an exported file. */
export const CERTIFICATE = certificateFile('certificate.json');

/** One by its name. */
export function certificateFile(name: string): JsonFile<Certificate> {
  return new JsonFile<Certificate>(name, certificateSchema, 'remove it, and export again');
}
