import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, starterConfig } from '../../../src/experiments/config/index.js';
import { UserError } from '../../../src/util/errors.js';
import { philox4x32 } from '../../../src/util/philox.js';

const MUTATIONS = 10_000;

const yaml = ['classification', 'summarization', 'custom'].map((task) =>
  starterConfig(task as 'custom').replace(/ *#.*$/gm, ''),
);
const json = JSON.stringify({
  model_name_or_path: 'm',
  lora: { r: 8, target_modules: ['q_proj'] },
  training: { learning_rate: 2e-4, packing: 'isolated' },
  tasks: {
    a: {
      task: 'classification',
      train: { path: 'x.csv', fraction: 0.5 },
      test: { hub: 'y' },
      labels: ['p', 'q'],
    },
    b: {
      task: 'custom',
      prompt: '{q}',
      completion: '{a}',
      metric: 'rouge',
      test: { path: 'z' },
      lora: false,
    },
  },
});
const seeds = [...yaml, json];

const inserts = [
  ...[
    '[',
    ']',
    '{',
    '}',
    ':',
    ': ',
    '- ',
    '? ',
    '&a ',
    '*a',
    '!!str ',
    '!x ',
    '|\n',
    '>',
    '"',
    "'",
    '#',
    '%YAML 9',
    '<<: ',
  ],
  ...[
    '\t',
    '\n',
    '\n---\n',
    '\r',
    '\0',
    '\u2028',
    '\ud800',
    '\ufeff',
    '...',
    '~',
    'null',
    'true',
    '.inf',
    '-1',
    '1e999',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    '[['.repeat(40),
    '{a: '.repeat(40),
    '- '.repeat(80),
    ' '.repeat(900),
  ],
];

/** Random numbers of one mutation. */
function draws(serial: number): (below: number) => number {
  let at = 0;
  return (below) => philox4x32([at++, 0, 0, 0], [serial, 4])[0] % below;
}

function mutated(serial: number): string {
  const draw = draws(serial);
  let text = seeds[draw(seeds.length)]!;
  for (let n = 1 + draw(3); n > 0; n--) {
    const at = draw(text.length + 1);
    const length = draw(4) === 0 ? draw(200) : draw(8);
    const kind = draw(5);
    if (kind === 0) text = text.slice(0, at) + text.slice(at + length);
    else if (kind === 1) text = text.slice(0, at) + inserts[draw(inserts.length)]! + text.slice(at);
    else if (kind === 2) text = text.slice(0, at) + String.fromCharCode(draw(256)) + text.slice(at + 1);
    else if (kind === 3)
      text = text.slice(0, at) + text.slice(draw(text.length + 1)).slice(0, length) + text.slice(at);
    else
      text = text
        .slice(0, draw(8) === 0 ? at : text.length)
        .replace(/\b\w+\b/g, (w) => (draw(40) === 0 ? 'x' : w));
  }
  return text;
}

test(`${MUTATIONS} damaged configurations are each valid or refused in plain words`, () => {
  let valid = 0;
  for (let serial = 0; serial < MUTATIONS; serial++) {
    const text = mutated(serial);
    try {
      parseConfig(text, 'c.yaml');
      valid++;
    } catch (error) {
      assert.ok(error instanceof UserError, `${String(error)} from ${JSON.stringify(text)}`);
      for (const line of error.message.split('\n')) assert.match(line, /^c\.yaml(:\d+:)? ./);
    }
  }
  // Both ways were taken.
  assert.ok(valid > MUTATIONS / 100 && valid < MUTATIONS / 2, `${valid} were valid`);
});
