/** Ids of runs, as they were: a change of how settings are written down must not give a run another name. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  canonicalJson,
  parseConfig,
  resultHash,
  type ResolvedConfig,
} from '../../../src/experiments/config/index.js';
import { configuration } from './configurations.js';

/** Made before the settings had one place: a line for each configuration, its id and a hash of its settings. */
const LINES = readFileSync(new URL('../../golden/config/ids.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n');

function idOf(config: ResolvedConfig, batchInvariant: boolean): string {
  return resultHash(config, {
    model: 'M',
    data: Object.fromEntries(
      config.tasks.flatMap(({ name }) => ['train', 'test'].map((split) => [`${name}.${split}`, split])),
    ),
    backend: 'B',
    batchInvariant,
  });
}

function lineOf(number: number): string {
  const config = parseConfig(JSON.stringify(configuration(number)));
  const settings = createHash('sha256').update(canonicalJson(config)).digest('hex').slice(0, 12);
  return `${idOf(config, number % 2 === 0)} ${settings}`;
}

test('ids and settings of configurations are what they were', () => {
  assert.equal(LINES.length, 1000);
  assert.equal(new Set(LINES.map((line) => line.split(' ')[0])).size > 900, true);
  for (const [number, line] of LINES.entries())
    assert.equal(lineOf(number), line, JSON.stringify(configuration(number), null, 2));
});
