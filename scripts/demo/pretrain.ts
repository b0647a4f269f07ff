/**
 * Makes examples/model's weights: a small Mistral trained from nothing on the demonstration's own text. Run with
 *   node --import tsx scripts/demo/pretrain.ts [--steps N] [--out examples/model]
 * The same machine gives the same bits; another one's differ in rounding.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createBackend } from '../../src/backends/select.js';
import { packConcat } from '../../src/data/index.js';
import { randomModel } from '../../src/models/load.js';
import { saveModel } from '../../src/models/save.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import type { TrainingArguments } from '../../src/train/arguments.js';
import { train } from '../../src/train/trainer.js';
import { modelFiles } from './model-files.js';
import { pretrainCorpus } from './pretrain-corpus.js';

const MODEL = 'examples/model';
const SEED = 20261123;
/** Of the corpus: some nine million tokens. */
const CHARACTERS = 30e6;

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1000' },
    out: { type: 'string', default: MODEL },
    lr: { type: 'string', default: '3e-3' },
  },
});

const args: TrainingArguments = {
  num_train_epochs: 1,
  max_steps: Number(values.steps),
  per_device_train_batch_size: 32,
  gradient_accumulation_steps: 1,
  learning_rate: Number(values.lr),
  lr_scheduler_type: 'cosine',
  warmup_ratio: 0.05,
  warmup_steps: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.95,
  adam_epsilon: 1e-8,
  weight_decay: 0.1,
  max_grad_norm: 1,
  gradient_checkpointing: false,
  bf16: true,
  neftune_noise_alpha: 0,
  seed: SEED,
  save_steps: 0,
  save_total_limit: 0,
};

const tokenizer = Tokenizer.load(MODEL);
const eosTokenId = tokenizer.eosId!;
const started = performance.now();
const examples = pretrainCorpus(SEED, CHARACTERS).map((text, row) => {
  const ids = [...tokenizer.encode(text), eosTokenId];
  return { ids, labels: ids, row };
});
const blocks = packConcat(examples, { length: 256, eosTokenId, dropLast: true });
const tokens = blocks.length * 256;
console.log(
  `${examples.length} texts, ${tokens} tokens, ${((performance.now() - started) / 1000).toFixed(0)} s to encode`,
);

const { backend } = await createBackend('cpu');
const config = JSON.parse(readFileSync(join(MODEL, 'config.json'), 'utf8')) as Record<string, unknown>;
const model = await randomModel(backend, config, { trainable: true, seed: SEED });
console.log(`${model.parameters.reduce((n, p) => n + p.value.length, 0)} parameters, ${backend.description}`);
await train(model, model.parameters, blocks, args, {
  onStep: ({ step, steps, loss, tokens: size, seconds }) => {
    if (step % 20 === 0 || step === steps) {
      console.log(`step ${step}/${steps}  loss ${loss.toFixed(3)}  ${Math.round(size / seconds)} tok/s`);
    }
  },
});
await saveModel(model, values.out, { dtype: 'BF16' });
writeFileSync(join(values.out, 'config.json'), modelFiles().get('config.json')!);
