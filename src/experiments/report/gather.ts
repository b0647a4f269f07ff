/**
 * Runs for a report or a list: a run with a file that cannot be used costs itself alone, and is told of with its cause like one that failed.
 */

import { basename, resolve } from 'node:path';
import { metricOf } from '../../eval/index.js';
import { messageOf, UserError } from '../../util/errors.js';
import { readText } from '../../util/read.js';
import { RUN_FILES } from '../store/layout.js';
import {
  findRunFolders,
  readCertificates,
  readInspected,
  readPredictions,
  readRun,
  readEvaluations,
  readSteps,
  type StoredRun,
} from '../store/stored.js';

/** A run's folder that cannot be used. */
export interface DamagedRun {
  readonly folder: string;
  /** Its folder's name: the manifest may be what is damaged. */
  readonly id: string;
  readonly state: 'failed';
  readonly failure: string;
}

/** The runs of some folders, and those that cannot be read. */
export interface FoundRuns {
  readonly runs: readonly StoredRun[];
  readonly damaged: readonly DamagedRun[];
}

/** The runs that are named or lie in named folders. Throws UserError where there are none. */
export function readRuns(paths: readonly string[]): FoundRuns {
  return sorted(findRunFolders(paths), (folder) => folder, readRun);
}

/** Reads all that a report will take from the runs' folders, and leaves out those from which that cannot be taken. */
export function soundRuns(found: readonly StoredRun[]): FoundRuns {
  return sorted(
    found,
    ({ folder }) => folder,
    (run) => {
      readText(RUN_FILES.manifest.in(run.folder));
      for (const result of run.results) {
        const task = run.manifest.config.tasks.find(({ name }) => name === result.task);
        for (const { method, metrics } of task?.test ? result.methods : []) {
          const byLikelihood = task?.scoring === 'likelihood';
          readPredictions(run, result, method, byLikelihood ? 'likelihood' : 'generate');
          const both = Object.entries(metricOf(result.metric).figures).some(
            ([name, { likelihood }]) => likelihood === true && metrics[name] !== undefined,
          );
          if (!byLikelihood && both) readPredictions(run, result, method, 'likelihood');
        }
        if (result.training) {
          readSteps(run, result.task);
          readEvaluations(run, result.task);
        }
        readInspected(run, result.task);
        readCertificates(run, result.task);
      }
      return run;
    },
  );
}

function sorted<T>(all: readonly T[], folderOf: (one: T) => string, read: (one: T) => StoredRun): FoundRuns {
  const runs: StoredRun[] = [];
  const damaged: DamagedRun[] = [];
  for (const one of all) {
    try {
      runs.push(read(one));
    } catch (error) {
      // A file may be gone, be a folder or be closed to us, too.
      if (!(error instanceof UserError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
      const folder = folderOf(one);
      damaged.push({ folder, id: basename(resolve(folder)), state: 'failed', failure: messageOf(error) });
    }
  }
  return { runs, damaged };
}
