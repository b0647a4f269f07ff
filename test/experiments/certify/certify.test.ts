/** Certificates of a small run: by what was evaluated itself, by the merged model, by a spoilt one, by another program. */

import assert from 'node:assert/strict';
import { appendFileSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { mergeAdapter } from '../../../src/adapters/merge.js';
import { loadAdapter } from '../../../src/adapters/peft.js';
import type { Backend } from '../../../src/backends/contract.js';
import {
  certify,
  prepareCertificate,
  uncertifiable,
  writeCertificate,
} from '../../../src/experiments/certify/index.js';
import {
  readerOfModel,
  readerOfProgram,
  type Program,
  type Reader,
} from '../../../src/experiments/certify/reader.js';
import { makeReport } from '../../../src/experiments/report/index.js';
import type { Certificate } from '../../../src/experiments/store/certificate.js';
import { readCertificates, readRun } from '../../../src/experiments/store/stored.js';
import { scoreContinuations } from '../../../src/generate/score.js';
import { loadModel } from '../../../src/models/load.js';
import type { CausalLM } from '../../../src/models/model.js';
import { Tokenizer } from '../../../src/tokenizer/index.js';
import { UserError } from '../../../src/util/errors.js';
import { backend } from '../../support/tiny.js';
import {
  makeJob,
  makeModel,
  runFolder,
  temporaryFolder,
  westwind,
  type JobFiles,
} from '../../cli/support.js';

const ABOUT = { name: 'test', version: '0', independent: false };
const FILE = { name: 'x', format: 'safetensors', type: 'F32', bytes: 0, sha256: '' };

let be: Backend;
let model: string;
let job: JobFiles;
let folder: string;
const adapter = (): string => join(folder, 'subjects/adapter');

before(async () => {
  be = await backend('cpu');
  model = await makeModel(join(temporaryFolder(), 'model'));
  job = makeJob(model, {
    'tasks:': 'quantization: {load_in_4bit: true}\ntasks:',
    'baselines: [zero_shot]': 'baselines: []',
  });
  const running = await westwind(['run', job.config]);
  assert.equal(running.code, 0, running.stderr);
  folder = runFolder(job);
});

const order = (rows: number): Parameters<typeof prepareCertificate>[0] => ({
  ...{ run: readRun(folder), task: 'subjects', modelFolder: model, backend: be, rows },
});

function reading(loaded: CausalLM): Reader {
  return readerOfModel(loaded, ABOUT, { bf16: false, signal: undefined, dispose: () => loaded.dispose() });
}

/** What the run evaluated. */
async function evaluated(): Promise<Reader> {
  const loaded = await loadModel(be, model, readRun(folder).manifest.config.weights);
  loadAdapter(loaded, adapter());
  return reading(loaded);
}

async function certificate(open: () => Promise<Reader>, rows = 100): Promise<Certificate> {
  return certify(await prepareCertificate(order(rows)), { file: FILE, open });
}

describe('the certificate of a run', () => {
  it('of what was evaluated itself: everything is the same, and its answers are those that were recorded', async () => {
    const found = await certificate(evaluated);
    assert.deepEqual(found.tokens, { equal_rows: 9 });
    assert.equal(found.certified_rows, 9);
    assert.equal(found.test_rows, 9);
    assert.equal(found.reproduced_rows, 9);
    assert.equal(found.kl_divergence, 0);
    assert.equal(found.largest_logit_difference, 0);
    assert.equal(found.perplexity.run, found.perplexity.exported);
    assert.equal(found.paired.p, 1);
    assert.deepEqual(found.exported_answers, found.run_answers);
    const [tuned] = readRun(folder).results[0]!.methods;
    assert.equal(found.run_answers.metrics['accuracy'], tuned!.metrics['accuracy']);
    assert.deepEqual([found.faults, found.notes], [[], []]);
  });

  it("has the references' likelihoods that scoring them gives", async () => {
    const found = await certificate(evaluated);
    const { data } = await prepareCertificate(order(100));
    const tokenizer = Tokenizer.load(model);
    const loaded = await loadModel(be, model, readRun(folder).manifest.config.weights);
    loadAdapter(loaded, adapter());
    const { promptsFor, labelContinuations } = await import('../../../src/tasks/index.js');
    const { prompts } = promptsFor(data.task, 'tuned', data.test, tokenizer, { limit: 200 });
    const continuations = labelContinuations(data.task, 'tuned', tokenizer);
    for await (const { index, logLikelihoods } of scoreContinuations(loaded, prompts, continuations, {})) {
      const { answer } = data.test.find(({ row }) => row === index)!;
      const wanted = -logLikelihoods[data.task.labels!.indexOf(answer)]!;
      const { loss_run } = found.by_row.find(({ row }) => row === index)!;
      assert.ok(Math.abs(loss_run - wanted) < 1e-4, `${loss_run} ${wanted}`);
    }
    loaded.dispose();
  });

  it('of the merged model is close, and of a spoilt one is not', async () => {
    const merged = join(temporaryFolder(), 'merged');
    await mergeAdapter(be, model, adapter(), merged, { dtype: 'F32' });
    const close = await certificate(async () => reading(await loadModel(be, merged, { dtype: 'f32' })));
    assert.ok(close.kl_divergence > 0 && close.kl_divergence < 0.1, String(close.kl_divergence));
    assert.ok(close.largest_logit_difference > 0);
    assert.deepEqual(close.faults, []);
    const spoilt = await certificate(async () => reading(await loadModel(be, model)));
    assert.ok(spoilt.kl_divergence > 10 * close.kl_divergence);
    assert.match(spoilt.faults.join('\n'), /perplexity is/);
  });

  it('takes the same rows each time, as many as are asked for', async () => {
    const rowsOf = async (rows: number): Promise<number[]> =>
      (await prepareCertificate(order(rows))).data.test.map(({ row }) => row);
    const five = await rowsOf(5);
    assert.equal(five.length, 5);
    assert.deepEqual(
      five,
      [...five].sort((a, b) => a - b),
    );
    assert.deepEqual(await rowsOf(5), five);
    assert.deepEqual(await rowsOf(500), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('is the same by another program that computes alike', async () => {
    const own = await certificate(evaluated, 4);
    const other = await certificate(async () => readerOfProgram(programOf(await evaluated())), 4);
    assert.deepEqual(other.tokens, own.tokens);
    assert.deepEqual(other.exported_answers, own.exported_answers);
    assert.ok(other.largest_logit_difference < 1e-4);
    assert.deepEqual([own.prompts, other.prompts], [undefined, { equal_rows: 4, known_rows: 0 }]);
  });

  it('tells of a tokenizer that cuts the prompts otherwise', async () => {
    const own = Tokenizer.load(model);
    let asked = 0;
    const spoilt = (text: string, special: boolean): number[] => {
      const ids = own.encode(text, { addSpecialTokens: special });
      return asked++ === 0 ? ids : [...ids.slice(0, 2), 5, ...ids.slice(2)];
    };
    const found = await certificate(async () => readerOfProgram(programOf(await evaluated(), spoilt)), 4);
    const row = found.by_row[1]!.row;
    assert.deepEqual(found.prompts, {
      ...{ equal_rows: 1, known_rows: 0, first_difference: { row, place: 2 } },
    });
    assert.deepEqual(found.faults, [
      `the file's own tokenizer cuts 3 of 4 prompts into other tokens: row ${row + 1} first, at token 3`,
    ]);
    // The answers themselves come from our tokens.
    assert.equal(found.tokens.equal_rows, 4);
  });

  it('is kept with the run, and is a row of its report', async () => {
    const out = temporaryFolder();
    const run = readRun(folder);
    const found = await certificate(evaluated);
    const where = writeCertificate(found, join(out, 'x.gguf'), run);
    assert.equal(where, join(out, 'certificate.json'));
    assert.deepEqual(JSON.parse(readFileSync(where, 'utf8')), JSON.parse(JSON.stringify(found)));
    assert.deepEqual(
      readCertificates(run, 'subjects').map(({ file }) => file.type),
      ['F32'],
    );
    const { markdown, tables } = makeReport([readRun(folder)]);
    assert.match(
      markdown,
      /\| QLoRA, exported \(safetensors F32\), 9 of 9 test rows|QLoRA, exported \(safetensors F32\)/,
    );
    assert.match(tables['methods-subjects.csv']!, /"QLoRA, exported \(safetensors F32\)",48,accuracy,/);
    rmSync(join(folder, 'subjects/certificate-safetensors-f32.json'));
    assert.doesNotMatch(makeReport([readRun(folder)]).markdown, /exported/);
  });
});

/** A program by a reader's probabilities alone, and a tokenizer. */
function programOf(
  reader: Reader,
  cutting = (text: string, special: boolean): number[] =>
    Tokenizer.load(model).encode(text, { addSpecialTokens: special }),
): Program {
  const at = (ids: readonly number[], places: readonly number[]): AsyncIterable<Float32Array> => {
    const labels = ids.map((id, place) => (places.includes(place) ? id : -100));
    return reader.probabilities({ ids: [...ids], labels, row: 0, shortened: false });
  };
  return {
    about: ABOUT,
    cut: ({ text, special }) => Promise.resolve(cutting(text, special)),
    probabilities: at,
    async greedy(ids, count, stopTokens) {
      const tokens: number[] = [];
      while (tokens.length < count && !stopTokens.includes(tokens.at(-1)!))
        for await (const one of at([...ids, ...tokens, 0], [ids.length + tokens.length]))
          tokens.push(one.indexOf(Math.max(...one)));
      return tokens;
    },
    close: () => reader.close(),
  };
}

describe('a program that reads the file', () => {
  it('ends an answer where its end stands, of several tokens too, and scores continuations', async () => {
    const program: Program = {
      about: ABOUT,
      cut: () => Promise.resolve([]),
      greedy: (_, count, stop) => Promise.resolve([5, 6, 7, 8, 9].slice(0, stop.includes(9) ? 5 : count)),
      async *probabilities(ids, places) {
        await Promise.resolve();
        for (const place of places) yield new Float32Array(10).fill(-place - ids.length / 100);
      },
      close: () => Promise.resolve(),
    };
    const reader = readerOfProgram(program);
    const ask = async (options: object): Promise<unknown> => {
      const all = [];
      const prompts = [{ index: 3, ids: [1] }];
      for await (const one of reader.generate(prompts, { max_new_tokens: 5, stopTokens: [], ...options }))
        all.push(one);
      return all;
    };
    assert.deepEqual(await ask({}), [{ index: 3, tokens: [5, 6, 7, 8, 9], finish: 'length' }]);
    assert.deepEqual(await ask({ stopTokens: [9] }), [{ index: 3, tokens: [5, 6, 7, 8], finish: 'stop' }]);
    const endsWith = (tokens: readonly number[]): boolean => tokens.slice(-2).join() === '6,7';
    assert.deepEqual(await ask({ endsWith }), [{ index: 3, tokens: [5, 6, 7], finish: 'stop' }]);
    const scores = [];
    for await (const one of reader.scoreContinuations([{ index: 0, ids: [1, 2] }], [[3], [3, 4]], {}))
      scores.push(one);
    assert.deepEqual(
      scores[0]!.logLikelihoods.map((x) => Number(x.toFixed(3))),
      [-2.03, -5.08],
    );
  });
});

describe('what is no longer as the run had it', () => {
  /** Does something to the run's surroundings, and sees how a certificate is refused. */
  async function refused(message: RegExp, path: string, change: () => void): Promise<void> {
    const kept = join(temporaryFolder(), 'kept');
    cpSync(path, kept, { recursive: true });
    try {
      change();
      await assert.rejects(prepareCertificate(order(4)), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
    } finally {
      rmSync(path, { recursive: true, force: true });
      renameSync(kept, path);
    }
  }

  it('test rows that are gone', async () => {
    const path = join(job.folder, 'test.csv');
    await refused(/test\.csv/, path, () => rmSync(path));
  });

  it('test rows that are others', async () => {
    const path = join(job.folder, 'test.csv');
    await refused(/the file of subjects\.test is not the one that run \w+ read/, path, () =>
      appendFileSync(path, 'The cat is here,cat\n'),
    );
  });

  it('another base model', async () => {
    const path = join(model, 'config.json');
    await refused(/is not the base model of run \w+: .* name the right one by --model/, path, () =>
      writeFileSync(path, readFileSync(path, 'utf8').replace('{', '{"more": 1,')),
    );
  });

  it('answers that are gone', async () => {
    const path = join(folder, 'subjects/predictions-tuned.jsonl');
    await refused(/predictions-tuned\.jsonl is missing/, path, () => rmSync(path));
  });

  it('a task without test rows or answers is told apart', () => {
    const run = readRun(folder);
    assert.equal(uncertifiable({ run, task: 'subjects' }), undefined);
    const [task] = run.manifest.config.tasks;
    const untested = { ...task! };
    delete (untested as { test?: unknown }).test;
    const config = { ...run.manifest.config, tasks: [untested] };
    const other = { ...run, manifest: { ...run.manifest, config } };
    assert.match(uncertifiable({ run: other, task: 'subjects' })!, /has no test rows/);
    assert.match(uncertifiable({ run: { ...run, results: [] }, task: 'subjects' })!, /has no result yet/);
    const [result] = run.results;
    const unanswered = { ...run, results: [{ ...result!, methods: [] }] };
    assert.match(uncertifiable({ run: unanswered, task: 'subjects' })!, /were not answered/);
  });
});
