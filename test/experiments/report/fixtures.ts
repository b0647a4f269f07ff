/** Runs' folders as `westwind run` leaves them, with made-up answers: a report's tests know each figure beforehand. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrap, scorePredictions, type Interval } from '../../../src/eval/index.js';
import type { CheckFigure } from '../../../src/experiments/store/check-figures.js';

const LABELS = ['cats', 'dogs'];
export const TEST_ROWS = 20;

export interface Fixture {
  readonly id: string;
  readonly method?: 'zero_shot' | 'few_shot' | 'tuned';
  /** Right answers of a summarization repeat the reference; wrong ones have ROUGE-1/2/L 1/2, 0 and 1/4. */
  readonly kind?: 'classification' | 'summarization';
  /** How many of the test rows, from the first on, are answered rightly. */
  readonly right?: number;
  readonly seed?: number;
  readonly trainRows?: number;
  readonly model?: string;
  readonly task?: string;
  readonly data?: string;
  readonly labels?: readonly string[];
  readonly token?: string;
  readonly neftune?: number;
  readonly modules?: readonly string[];
  /** How the manifest says that the base's weights are held. */
  readonly weights?: string;
  readonly checks?: Readonly<Record<string, CheckFigure>>;
  /** The hash of the test file's content. */
  readonly testHash?: string;
  /** Sampled: so many rows, by this seed. */
  readonly drawn?: { readonly count: number; readonly seed?: number };
  /** Trained without test rows. */
  readonly untested?: boolean;
  /** The losses of its evaluations, behind each step from the first on; the least is the best. */
  readonly evaluated?: {
    readonly losses: readonly number[];
    readonly keepsBest?: boolean;
    readonly early?: boolean;
  };
  /** The trial of a search that it is. */
  readonly searched?: { readonly trial: number; readonly stopped?: boolean };
  readonly started?: string;
  /** Not finished: as it was stopped, or with this failure. */
  readonly unfinished?: boolean;
  readonly failure?: string;
}

/** Writes a run's folder below `root` and returns its path. */
export function writeRun(root: string, fixture: Fixture): string {
  const { id, method = 'tuned', right = 10, seed = 1, trainRows = 100, task = 'pets' } = fixture;
  const {
    kind = 'classification',
    labels = LABELS,
    started = '2026-01-01T00:00:00.000Z',
    data = 'data/pets',
  } = fixture;
  const folder = join(root, id);
  mkdirSync(join(folder, task), { recursive: true });
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  write('manifest.json', manifest({ ...fixture, method, seed, trainRows, task, data, started }));
  if (fixture.failure !== undefined) write('failed.json', { message: fixture.failure, at: started });
  if (fixture.failure !== undefined || fixture.unfinished) return folder;

  const { losses = [], early = false } = fixture.evaluated ?? {};
  const best = losses.indexOf(Math.min(...losses));
  const training = {
    ...{ steps: 3, first_loss: 3, last_loss: 1, tokens: 300 },
    seconds: Date.parse(started) / 1e12,
    ...(fixture.evaluated && {
      ...{
        best_step: best + 1,
        best_metric: losses[best],
        metric_for_best_model: 'loss',
        stopped_early: early,
      },
    }),
    ...(fixture.searched?.stopped && { stopped_by: 'search' }),
  };
  const validated = fixture.evaluated && { validation_rows: 9 };
  const counts = { train_rows: trainRows, ...validated, test_rows: fixture.untested ? 0 : TEST_ROWS };
  const about = { task, kind, metric: kind === 'classification' ? kind : 'rouge', ...counts };
  if (method === 'tuned') {
    const step = {
      steps: early ? 9 : 3,
      grad_norm: 1,
      learning_rate: 0.1,
      tokens: 100,
      trained_tokens: 10,
      seconds: 1,
    };
    writeLines(
      join(folder, task, 'train.jsonl'),
      [1, 2, 3].map((n) => ({ step: n, epoch: n / 3, loss: 4 - n, time: Date.parse(started), ...step })),
    );
    if (fixture.evaluated)
      writeLines(
        join(folder, task, 'eval.jsonl'),
        losses.map((loss, i) => ({
          ...{
            step: i + 1,
            epoch: (i + 1) / 3,
            loss,
            best: i <= best,
            seconds: 1,
            time: Date.parse(started),
          },
        })),
      );
    const tokens = [{ id: 1, text: fixture.token ?? ' meow', trained: true }];
    write(join(task, 'inspected.json'), [{ row: 0, shortened: false, trained: 1, tokens }]);
  }
  if (fixture.untested || fixture.searched?.stopped) {
    write('results.json', [{ ...about, methods: [], training }]);
    return folder;
  }

  const answers = Array.from({ length: TEST_ROWS }, (_, row) => {
    const [reference, wrong] =
      kind === 'summarization'
        ? [`the cat ${row} sat`, `cat the ran off`]
        : [labels[row % labels.length]!, labels[(row + 1) % labels.length]!];
    const answer = row < right ? reference : wrong;
    return { row, reference, answer, text: answer, tokens: 1, finish: 'stop' };
  });
  const accuracy = right / TEST_ROWS;
  const figures =
    kind === 'summarization'
      ? scorePredictions('rouge', answers)
      : {
          metrics: { accuracy, f1_macro: accuracy },
          intervals: { accuracy: intervalOf(right) },
          unanswered: 0,
        };
  const scores = { ...figures, rows: TEST_ROWS };
  const { checks } = fixture;
  const result = {
    ...about,
    methods: [{ method, ...scores, seconds: Date.parse(started) / 1e12, ...(checks && { checks }) }],
    ...(method === 'tuned' && { training }),
  };
  write('results.json', [result]);
  write(join(task, 'result.json'), result);
  write(join(task, `scores-${method}.json`), { generate: scores });
  writeLines(join(folder, task, `predictions-${method}.jsonl`), answers);
  return folder;
}

const intervals = new Map<number, Interval>();

/** The bootstrap's of an accuracy, once for all runs that have as many right. */
function intervalOf(right: number): Interval {
  const interval =
    intervals.get(right) ??
    bootstrap(TEST_ROWS, (rows) => [rows.filter((row) => row < right).length / TEST_ROWS])[0]!;
  intervals.set(right, interval);
  return interval;
}

function writeLines(path: string, records: readonly unknown[]): void {
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

type Settings = Fixture & { method: string; seed: number; trainRows: number; task: string; data: string };

function manifest(settings: Settings) {
  const { id, method, seed, trainRows, task, data, started, model = 'models/small' } = settings;
  const { kind = 'classification', testHash = 'b'.repeat(16), modules = ['q_proj', 'v_proj'] } = settings;
  const columns =
    kind === 'classification'
      ? { text: 'text', label: 'label' }
      : { dialogue: 'dialogue', summary: 'summary' };
  const test = { from: { path: `${data}/test.csv` }, columns, stratify: true, ...settings.drawn };
  return {
    id,
    westwind: '0.1.0',
    node: process.version,
    started,
    machine: { cpu: 'none', cores: 2 },
    fingerprints: {
      model: `of ${model}`,
      data: { [`${task}.train`]: 'a'.repeat(16), ...(!settings.untested && { [`${task}.test`]: testHash }) },
      backend: 'cpu, AVX2',
      batchInvariant: true,
    },
    ...(settings.weights !== undefined && { weights: settings.weights }),
    config: {
      model_name_or_path: model,
      revision: 'main',
      device: 'auto',
      output_dir: 'runs',
      seed,
      // As a run of before manifests said how weights are held; where they are, what they say is all that counts.
      weights: {
        dtype: 'auto',
        ...(settings.weights === undefined && { quantization: { doubleQuant: true } }),
      },
      report_to: [],
      mlflow: {},
      ...(settings.searched && {
        search: {
          ...{ method: 'asha', trials: 4, seed: 42, trial: settings.searched.trial },
          halving: { reduction_factor: 2, grace_period: 1 },
        },
      }),
      tasks: [
        {
          name: task,
          settings: { task: kind },
          train: { from: { path: `${data}/train.csv` }, columns, count: trainRows, stratify: true },
          ...(!settings.untested && { test }),
          tune: method === 'tuned',
          baselines: method === 'tuned' ? [] : [method],
          scoring: 'generate',
          few_shot_examples: 1,
          checks: [],
          lora: { r: 16, lora_alpha: 32, lora_dropout: 0, target_modules: modules },
          training: {
            num_train_epochs: 1,
            learning_rate: 0.1,
            neftune_noise_alpha: settings.neftune ?? 0,
            bf16: true,
            seed,
            ...(settings.evaluated && {
              ...{ eval_strategy: 'steps', load_best_model_at_end: settings.evaluated.keepsBest ?? false },
            }),
          },
          generation: { do_sample: false, max_new_tokens: 20, baseline_max_new_tokens: 20, seed },
        },
      ],
    },
  };
}
