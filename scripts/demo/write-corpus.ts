/**
 * Writes what the demonstration's base model reads, for a look at it or for another trainer: a JSON object with a `text` a line:
 * `node --import tsx scripts/demo/write-corpus.ts [--out build/demo/base.jsonl] [--megabytes 15] [--seed 20]`
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { pretrainCorpus } from './pretrain-corpus.js';
import { SEED } from './data-files.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'build/demo/base.jsonl' },
    megabytes: { type: 'string', default: '15' },
    seed: { type: 'string', default: String(SEED) },
  },
});
const documents = pretrainCorpus(Number(values.seed), Number(values.megabytes) * 1e6);
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, documents.map((text) => `${JSON.stringify({ text })}\n`).join(''));
console.log(`${values.out}: ${documents.length} documents`);
