/** Runs' folders as `westwind run` leaves them, with made-up answers: a report's tests know each figure beforehand. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrap } from '../../src/eval/index.js';

export const LABELS = ['cats', 'dogs'];
export const TEST_ROWS = 20;

export interface Fixture {
  readonly id: string;
  readonly method?: 'zero_shot' | 'tuned';
  /** How many of the test rows, from the first on, are answered rightly. */
  readonly right?: number;
  readonly seed?: number;
  readonly trainRows?: number;
  readonly model?: string;
  readonly task?: string;
  readonly data?: string;
  readonly labels?: readonly string[];
  readonly token?: string;
  readonly started?: string;
  /** Not finished: as it was stopped, or with this failure. */
  readonly unfinished?: boolean;
  readonly failure?: string;
}

/** Writes a run's folder below `root` and returns its path. */
export function writeRun(root: string, fixture: Fixture): string {
  const { id, method = 'tuned', right = 10, seed = 1, trainRows = 100, task = 'pets' } = fixture;
  const { labels = LABELS, started = '2026-01-01T00:00:00.000Z', data = 'data/pets' } = fixture;
  const folder = join(root, id);
  mkdirSync(join(folder, task), { recursive: true });
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  write('manifest.json', manifest({ ...fixture, method, seed, trainRows, task, data, started }));
  if (fixture.failure !== undefined) write('failed.json', { message: fixture.failure, at: started });
  if (fixture.failure !== undefined || fixture.unfinished) return folder;

  const answers = Array.from({ length: TEST_ROWS }, (_, row) => {
    const reference = labels[row % labels.length]!;
    const answer = row < right ? reference : labels[(row + 1) % labels.length]!;
    return { row, reference, answer, text: answer, tokens: 1, finish: 'stop' };
  });
  const accuracy = right / TEST_ROWS;
  const [interval] = bootstrap(TEST_ROWS, (rows) => [rows.filter((row) => row < right).length / TEST_ROWS]);
  const metrics = { accuracy, f1_macro: accuracy };
  const scores = { metrics, intervals: { accuracy: interval! }, rows: TEST_ROWS, unanswered: 0 };
  const result = {
    task,
    kind: 'classification',
    metric: 'classification',
    train_rows: trainRows,
    test_rows: TEST_ROWS,
    methods: [{ method, ...scores, seconds: Date.parse(started) / 1e12 }],
    ...(method === 'tuned' && {
      training: { steps: 3, first_loss: 3, last_loss: 1, tokens: 300, seconds: Date.parse(started) / 1e12 },
    }),
  };
  write('results.json', [result]);
  write(join(task, 'result.json'), result);
  write(join(task, `scores-${method}.json`), { generate: scores });
  writeLines(join(folder, task, `predictions-${method}.jsonl`), answers);
  if (method === 'zero_shot') return folder;
  const step = { steps: 3, grad_norm: 1, learning_rate: 0.1, tokens: 100, trained_tokens: 10, seconds: 1 };
  writeLines(
    join(folder, task, 'train.jsonl'),
    [1, 2, 3].map((n) => ({ step: n, epoch: n / 3, loss: 4 - n, time: Date.parse(started), ...step })),
  );
  const tokens = [{ id: 1, text: fixture.token ?? ' meow', trained: true }];
  write(join(task, 'inspected.json'), [{ row: 0, shortened: false, trained: 1, tokens }]);
  return folder;
}

function writeLines(path: string, records: readonly unknown[]): void {
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

type Settings = Fixture & { method: string; seed: number; trainRows: number; task: string; data: string };

function manifest({ id, method, seed, trainRows, task, data, started, model = 'models/small' }: Settings) {
  const columns = { text: 'text', label: 'label' };
  return {
    id,
    westwind: '0.1.0',
    node: process.version,
    started,
    machine: { cpu: 'none', cores: 2 },
    fingerprints: {
      model: `of ${model}`,
      data: { [`${task}.train`]: 'a'.repeat(16), [`${task}.test`]: 'b'.repeat(16) },
      backend: 'cpu, AVX2',
      batchInvariant: true,
    },
    config: {
      model_name_or_path: model,
      revision: 'main',
      device: 'auto',
      output_dir: 'runs',
      seed,
      weights: { dtype: 'auto', quantization: { doubleQuant: true } },
      report_to: [],
      mlflow: {},
      tasks: [
        {
          name: task,
          settings: { task: 'classification' },
          train: { from: { path: `${data}/train.csv` }, columns, count: trainRows, stratify: true },
          test: { from: { path: `${data}/test.csv` }, columns, stratify: true },
          tune: method === 'tuned',
          baselines: method === 'tuned' ? [] : [method],
          scoring: 'generate',
          few_shot_examples: 1,
          checks: [],
          lora: { r: 16, lora_alpha: 32, lora_dropout: 0, target_modules: ['q_proj', 'v_proj'] },
          training: { num_train_epochs: 1, learning_rate: 0.1, neftune_noise_alpha: 0, bf16: true, seed },
          generation: { do_sample: false, max_new_tokens: 20, baseline_max_new_tokens: 20, seed },
        },
      ],
    },
  };
}
