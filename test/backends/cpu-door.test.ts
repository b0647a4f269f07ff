/**
 * Extremes at the door of the API: what would hang, end the process or reach foreign memory is a RangeError or TypeError (a UserError
 * where a user's file says it), and the model answers afterwards as before. Beside the kernels' tests so that the sanitizers run it.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { attachLora } from '../../src/adapters/lora.js';
import {
  epochOrder,
  packConcat,
  packIsolated,
  trainTestSplit,
  unpacked,
  type Block,
} from '../../src/data/index.js';
import { bootstrap, classificationReport, comparePaired } from '../../src/eval/index.js';
import { generate, type GenerateOptions } from '../../src/generate/generate.js';
import { scoreContinuations } from '../../src/generate/score.js';
import { randomModel } from '../../src/models/load.js';
import type { CausalLM } from '../../src/models/model.js';
import { flatten } from '../../src/train/batch.js';
import { evaluateLoss } from '../../src/train/step.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { train, trainTogether } from '../../src/train/trainer.js';
import { UserError } from '../../src/util/errors.js';
import { ARGS, backend, LORA, randomBlocks, randomIds, tinyModel, tinyT5 } from '../support/tiny.js';

/** What no count, no share and no place is. */
const NO_NUMBERS: readonly unknown[] = [NaN, Infinity, -Infinity, 2 ** 53, '3', null, {}, [4], 10n];
const NO_COUNTS = [...NO_NUMBERS, 0, -1, 1.5, -(2 ** 31), 2 ** 31, 2 ** 32];

const greedy: GenerateOptions = {
  ...{ do_sample: false, temperature: 1, top_p: 1, top_k: 0, seed: 5 },
  ...{ max_new_tokens: 4, stopTokens: [], batch_size: 2 },
};
const drawn = { ...greedy, do_sample: true };
const prompts = [5, 9].map((length, index) => ({ index, ids: [...randomIds(length, index)] }));

let model: CausalLM;
let encodes: CausalLM;
before(async () => {
  const device = await backend();
  model = await tinyModel(device, { quantization: { doubleQuant: true } });
  encodes = await tinyModel(device, {}, tinyT5());
});
after(() => {
  model.dispose();
  encodes.dispose();
});

async function answers(which = prompts, options: unknown = greedy, of = model): Promise<number[][]> {
  const out: number[][] = [];
  for await (const a of generate(of, which, options as GenerateOptions)) out[a.index] = a.tokens;
  return out;
}

async function scores(continuations: unknown, options: unknown = { batch_size: 2 }): Promise<void> {
  const which = continuations as number[][];
  const all = scoreContinuations(model, prompts, which, options as { batch_size: number });
  while ((await all.next()).done !== true);
}

function isRefusal(error: unknown): boolean {
  return error instanceof RangeError || error instanceof TypeError || error instanceof UserError;
}

/** Each of the values in the place of the option is refused, by the option's name. */
async function refuses(
  name: string,
  values: readonly unknown[],
  call: (value: unknown) => unknown,
): Promise<void> {
  for (const value of values)
    await assert.rejects(
      () => Promise.resolve().then(() => call(value)),
      (error: Error) => isRefusal(error) && error.message.includes(name),
      `${name}: ${String(value)}`,
    );
}

describe('generate', () => {
  const cases: [keyof GenerateOptions, readonly unknown[]][] = [
    ['batch_size', NO_COUNTS],
    ['max_new_tokens', NO_COUNTS],
    ['sharedPrefix', [...NO_COUNTS.filter((n) => n !== 0), 3, 6]],
    ['temperature', [...NO_NUMBERS.filter((n) => n !== 2 ** 53), 0, -1]],
    ['top_p', [...NO_NUMBERS, 0, -1, 1.5]],
    ['top_k', NO_COUNTS.filter((n) => n !== 0)],
    ['seed', NO_COUNTS.filter((n) => n !== 0 && n !== 2 ** 31)],
  ];
  for (const [name, values] of cases)
    it(`refuses ${name}`, () =>
      refuses(name, values, (value) => answers(prompts, { ...drawn, [name]: value })));

  it('refuses prompts that are none', async () => {
    const asked = (ids: unknown, index: unknown = 0, of = model): Promise<number[][]> =>
      answers([{ ids: ids as number[], index: index as number }], greedy, of);
    for (const of of [model, encodes]) {
      await assert.rejects(asked([], 0, of), UserError);
      for (const id of [96, -1, 2 ** 31, 2 ** 32, NaN, 1.5, Infinity, '3', undefined])
        await assert.rejects(asked([3, id], 0, of), isRefusal, String(id));
      await assert.rejects(asked(new Array(5), 0, of), isRefusal);
    }
    for (const index of [NaN, -1, 2 ** 32, 0.5]) await assert.rejects(asked([3], index), /index/);
    await assert.rejects(asked([...randomIds(129, 1)]), /has 129 tokens, and the model's context is 128/);
    await assert.rejects(answers(prompts, { ...greedy, stopTokens: [NaN] }), RangeError);
  });

  it('answers afterwards as before', async () => {
    const first = await answers();
    await assert.rejects(answers(prompts, { ...greedy, batch_size: NaN }), RangeError);
    assert.deepEqual(await answers(), first);
    assert.deepEqual(await answers([]), []);
  });
});

describe('scoreContinuations', () => {
  it('refuses batch_size', () => refuses('batch_size', NO_COUNTS, (v) => scores([[3]], { batch_size: v })));
  it('refuses sharedPrefix', () =>
    refuses('sharedPrefix', [NaN, -1, 2 ** 31, 5], (v) => scores([[3]], { batch_size: 1, sharedPrefix: v })));
  it('refuses continuations that are none', async () => {
    for (const none of [[], [[]], [[96]], [[-100]], [[NaN]], [new Array(3)], [[3], []]])
      await assert.rejects(scores(none), isRefusal, JSON.stringify(none));
  });
});

describe('batches', () => {
  const [block] = randomBlocks([12]) as [Block];
  const batch = (changes: object): Promise<Float32Array> =>
    evaluateLoss(model, { ...flatten([block]), ...changes });

  it('are refused where arrays are of other lengths, types or contents', async () => {
    const rows = flatten([block]);
    for (const name of ['ids', 'positions', 'segments', 'targets', 'lengths'] as const) {
      await assert.rejects(batch({ [name]: rows[name].slice(1) }), RangeError, name);
      await assert.rejects(batch({ [name]: Float32Array.from(rows[name]) }), TypeError, name);
      await assert.rejects(batch({ [name]: Array.from(rows[name]) }), TypeError, name);
    }
    const spoilt = (name: 'ids' | 'positions' | 'segments' | 'targets', value: number): object => ({
      [name]: rows[name].with(5, value),
    });
    for (const [name, values] of [
      ['ids', [96, -1, 2 ** 31 - 1, -(2 ** 31)]],
      ['positions', [-1, 2 ** 20, 2 ** 31 - 1, -(2 ** 31)]],
      ['segments', [-1, 7, 2 ** 31 - 1]],
      ['targets', [96, -1, -99, 2 ** 31 - 1]],
    ] as const)
      for (const value of values)
        await assert.rejects(batch(spoilt(name, value)), isRefusal, `${name} ${value}`);
    await assert.rejects(evaluateLoss(model, flatten([])), RangeError);
    await assert.rejects(evaluateLoss(encodes, rows), /encoder/);
  });

  it('are not made of blocks of unequal arrays', () => {
    for (const name of ['labels', 'positions', 'segments'] as const) {
      assert.throws(() => flatten([{ ...block, [name]: block[name].slice(1) }]), RangeError, name);
      assert.throws(
        () => flatten([{ ...block, [name]: [...block[name]] as unknown as Int32Array }]),
        TypeError,
      );
    }
  });
});

describe('train', () => {
  const [A, B, C] = [{ least: 0 }, { least: 1 }, { share: true }];
  const cases: [keyof TrainingArguments, { least?: number; share?: boolean }][] = [
    ['per_device_train_batch_size', B],
    ['gradient_accumulation_steps', B],
    ['save_steps', A],
    ['save_total_limit', A],
    ['warmup_steps', A],
    ['seed', A],
    ['adam_beta1', C],
    ['adam_beta2', C],
    ['warmup_ratio', C],
  ];
  const tried = (changes: object, blocks = randomBlocks([9, 7])): Promise<unknown> => {
    const adapter = attachLora(model, LORA, { seed: 1 });
    const done = train(model, adapter.parameters, blocks, { ...ARGS, max_steps: 1, ...changes });
    return done.finally(() => adapter.dispose());
  };
  for (const [name, { least = 0, share }] of cases)
    it(`refuses ${name}`, () =>
      refuses(name, [...NO_NUMBERS, least - 1, ...(share ? [1.5] : [0.5])], (v) => tried({ [name]: v })));

  it('refuses rates and norms', async () => {
    for (const name of [
      'learning_rate',
      'weight_decay',
      'neftune_noise_alpha',
      'max_grad_norm',
      'adam_epsilon',
    ])
      await refuses(name, [NaN, -1, '1', null], (v) => tried({ [name]: v }));
    await refuses('num_train_epochs', [NaN, 0, -1, Infinity], (v) => tried({ num_train_epochs: v }));
    await refuses('steps', [1e300], (v) => tried({ num_train_epochs: v, max_steps: 0 }));
  });

  it('refuses nothing to train', async () => {
    await assert.rejects(trainTogether(model, []), RangeError);
    await assert.rejects(train(model, [], randomBlocks([9]), ARGS), RangeError);
    await assert.rejects(tried({}, []), isRefusal);
    const [block] = randomBlocks([9]) as [Block];
    await assert.rejects(tried({}, [{ ...block, positions: block.positions.slice(2) }]), RangeError);
    await assert.rejects(tried({}, [{ ...block, labels: block.labels.with(3, 5000) }]), UserError);
  });
});

describe('adapters', () => {
  const tried = (changes: object): void => attachLora(model, { ...LORA, ...changes }, { seed: 1 }).dispose();
  it('are refused with a rank, an alpha or a dropout that is none', async () => {
    await refuses('r is', NO_COUNTS, (r) => tried({ r }));
    await refuses('rank_pattern', NO_COUNTS, (r) => tried({ rank_pattern: { q_proj: r } }));
    await refuses('lora_alpha', [NaN, Infinity, '8', null], (lora_alpha) => tried({ lora_alpha }));
    await refuses('lora_dropout', [NaN, -0.1, 1, 2, '0', null], (lora_dropout) => tried({ lora_dropout }));
    for (const seed of [-1, NaN, 2 ** 32]) assert.throws(() => attachLora(model, LORA, { seed }), RangeError);
  });
});

describe('data', () => {
  const example = { ids: [3, 4, 5, 6], labels: [-100, 4, 5, 6], row: 0 };

  it('is not packed into blocks of no length', async () => {
    for (const make of [unpacked, packIsolated])
      await refuses('length', NO_COUNTS, (v) => make([example], { length: v as number }));
    await refuses('length', NO_COUNTS, (v) => packConcat([example], { length: v as number, eosTokenId: 2 }));
    await refuses('eosTokenId', [NaN, -1, 0.5], (v) =>
      packConcat([example], { length: 4, eosTokenId: v as number }),
    );
    for (const ids of [[3, 4, NaN, 6], [3, 4, 5.5, 6], [3, , 5, 6] as number[], [3, 4, 5, 2 ** 31], [3]])
      assert.throws(() => packIsolated([{ ...example, ids }], { length: 4 }), RangeError);
  });

  it('is packed at the cost of its texts, however long a block may be', () => {
    const examples = Array.from({ length: 3000 }, (_, row) => ({ ...example, row }));
    assert.equal(packIsolated(examples, { length: 2 ** 31 - 1 }).length, 1);
  });

  it('is split and shuffled by seeds and counts alone', async () => {
    await refuses('randomState', [NaN, -1, 2 ** 32], (v) => trainTestSplit(9, { randomState: v as number }));
    for (const n of [NaN, -1, 2 ** 31]) assert.throws(() => epochOrder(n, 0, 0), RangeError);
    assert.throws(() => epochOrder(3, NaN, 0), RangeError);
  });

  it('is measured by so many draws as end', async () => {
    const mean = (): [number] => [1];
    await refuses('resamples', NO_COUNTS, (v) => bootstrap(3, mean, { resamples: v as number }));
    await refuses('confidence', [NaN, 0, 1, 2], (v) => bootstrap(3, mean, { confidence: v as number }));
    const rows = Array.from({ length: 30 }, (_, i) => i);
    await refuses('resamples', [Infinity, NaN], (v) =>
      comparePaired(rows, [...rows].reverse(), { resamples: v as number }),
    );
  });

  it('may have a label a row', () => {
    const labels = Array.from({ length: 60_000 }, (_, i) => `label ${i}`);
    const report = classificationReport(labels, [...labels].reverse());
    assert.equal(report.labels.length, 60_000);
    assert.equal(report.confusion.length, 60_000);
    assert.equal(report.accuracy, 0);
  });
});

it('a decoder_start_token_id beyond the vocabulary is refused on loading', async () => {
  for (const id of [96, 300, 2 ** 31 - 1])
    await assert.rejects(
      randomModel(await backend(), tinyT5({ decoder_start_token_id: id })),
      /decoder_start_token_id/,
    );
});
