/** Studies of more points than a process may have files open. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeJob, makeModel, temporaryFolder, westwind } from './support.js';

const POINTS = 300;
const FILES = 256;

test('a study of more points than files may be open trains each, side by side', async () => {
  const model = await makeModel(join(temporaryFolder(), 'model'));
  const rates = Array.from({ length: POINTS }, (_, i) => (i + 1) / 10_000).join(', ');
  const job = makeJob(model, {
    'learning_rate: 5e-3': `learning_rate: [${rates}]`,
    'max_steps: 40': 'max_steps: 1',
    'all-linear': '[q_proj]',
    '    test: {path: test.csv}\n    baselines: [zero_shot]\n    scoring: both\n': '',
  });
  const study = await westwind(['run', job.config], { shell: `ulimit -n ${FILES}` });
  assert.equal(study.code, 0, study.stderr);
  assert.match(study.stdout, new RegExp(`${POINTS} of ${POINTS} runs are done`));
  const events = readdirSync(job.runs, { recursive: true }).filter((name) =>
    String(name).includes('tfevents'),
  );
  assert.equal(events.length, POINTS);
});
