/** Chats from outside: a run from file to table, whatever form the file has, and what is said of the rows. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeModel, runFolder, temporaryFolder, westwind, type JobFiles } from './support.js';

let model: string;

before(async () => {
  model = await makeModel(join(temporaryFolder(), 'model'));
});

interface Turn {
  readonly role: string;
  readonly content: string;
}

const PLACES = ['town', 'sea', 'park', 'tree', 'house'];

function talk(i: number): Turn[] {
  const [first, second] = [PLACES[i % 5]!, PLACES[(i + 1) % 5]!];
  return [
    ...(i % 3 === 0 ? [{ role: 'system', content: 'Be good.' }] : []),
    { role: 'user', content: `Who is in the ${first}, ${i}?` },
    { role: 'assistant', content: `A cat is in the ${first}.` },
    { role: 'user', content: `And in the ${second}?` },
    { role: 'assistant', content: `A dog is in the ${second}.` },
  ];
}

const FORMS: Readonly<Record<string, (turns: readonly Turn[]) => object>> = {
  openai: (messages) => ({ messages }),
  sharegpt: (turns) => ({
    conversations: turns.map(({ role, content }) => ({
      from: { user: 'human', assistant: 'gpt' }[role] ?? role,
      value: content,
    })),
  }),
};

function makeChatJob(form: string, more = '', rows = 24): JobFiles {
  const folder = temporaryFolder();
  const lines = (from: number, n: number): string =>
    Array.from({ length: n }, (_, i) => `${JSON.stringify(FORMS[form]!(talk(from + i)))}\n`).join('');
  writeFileSync(join(folder, 'train.jsonl'), lines(0, rows));
  writeFileSync(join(folder, 'test.jsonl'), lines(100, 6));
  const runs = join(folder, 'runs');
  const config = join(folder, 'job.yaml');
  writeFileSync(
    config,
    `model_name_or_path: ${model}
output_dir: ${runs}
lora: {r: 4, target_modules: all-linear}
training: {max_steps: 6, per_device_train_batch_size: 4, learning_rate: 5e-3, max_length: 256, packing: isolated}
generation: {batch_size: 4}
tasks:
  talk:
    task: chat
    train: {path: train.jsonl}
    test: {path: test.jsonl}
    max_new_tokens: 12
    checks: [{check: length}, {check: ./turns.mjs}]
${more}`,
  );
  writeFileSync(
    join(folder, 'turns.mjs'),
    'export default ({ columns }) => JSON.parse(columns.conversation).messages.length;\n',
  );
  return { folder, config, runs };
}

test('a chat runs from file to table; in another form it is the same run, to the bit', async () => {
  const kept: Record<string, string>[] = [];
  for (const form of ['openai', 'sharegpt']) {
    const job = makeChatJob(form);
    const { code, stdout, stderr } = await westwind(['run', job.config]);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      new RegExp(`talk: train\\.jsonl: chats in the form ${form}, by its column (messages|conversations)\\n`),
    );
    assert.match(
      stdout,
      /talk: the model has no chat template, so that conversations are laid out as ChatML/,
    );
    assert.match(stdout, /\| talk +\| +chrF \| +corpus chrF \|/);
    assert.match(stdout, /\| zero-shot \|.*\n\| LoRA +\|/);
    assert.match(stdout, /\| talk: checks \| +length \| +turns \|/);
    const folder = join(runFolder(job), 'talk');
    const names = ['adapter/adapter_model.safetensors', 'predictions-tuned.jsonl', 'inspected.json'];
    kept.push(Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'base64')])));
    const { code: again, stdout: second } = await westwind(['run', job.config]);
    assert.equal(again, 0);
    assert.match(second, /finished before/);
    if (form === 'sharegpt') continue;
    const predictions = readFileSync(join(folder, 'predictions-tuned.jsonl'), 'utf8').trim().split('\n');
    assert.deepEqual(
      predictions.map((line) => (JSON.parse(line) as { reference: string }).reference).sort(),
      Array.from({ length: 6 }, (_, i) => talk(100 + i).at(-1)!.content).sort(),
    );
    // Whoever asks the adapter asks by the template that it was trained by.
    const adapter = join(folder, 'adapter');
    assert.match(readFileSync(join(adapter, 'chat_template.jinja'), 'utf8'), /<\|im_start\|>/);
    const asked = ['generate', model, '--chat', '-p', 'Who is it?', '-n', '4'];
    const without = await westwind(asked);
    assert.match(without.stderr, /has no chat template/);
    const { code: answered, stderr: fault } = await westwind([...asked, '--adapter', adapter]);
    assert.equal(answered, 0, fault);
    const merged = join(job.folder, 'merged');
    assert.equal((await westwind(['merge', adapter, '--model', model, '--out', merged])).code, 0);
    assert.ok(existsSync(join(merged, 'chat_template.jinja')));
    const report = await westwind(['report', job.runs, '--out', join(job.folder, 'report')]);
    assert.equal(report.code, 0, report.stderr);
    const text = readFileSync(join(job.folder, 'report/report.md'), 'utf8');
    assert.match(text, /A chat, tested on 6 rows of test\.jsonl/);
    assert.match(text, /Who is in the \w+, 10\d\? … And in the \w+\?/);
    const listed = await westwind(['ls', job.runs]);
    assert.match(listed.stdout, /\| +talk \|.*chrf \d/);
    const planned = await westwind(['plan', job.config]);
    assert.match(planned.stdout, /talk: training/);
  }
  assert.deepEqual(kept[0], kept[1]);
});

test('inspect shows a conversation with what is trained on, and names the rows that are left out', async () => {
  const job = makeChatJob('openai', '    chat_template: chatml\n', 5);
  const rows = [
    { messages: [] },
    { messages: [{ role: 'user', content: 'Hello?' }] },
    {
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'word '.repeat(400) },
      ],
    },
  ];
  writeFileSync(
    join(job.folder, 'train.jsonl'),
    readFileSync(join(job.folder, 'train.jsonl'), 'utf8') +
      rows.map((row) => JSON.stringify(row) + '\n').join(''),
  );
  const { code, stdout, stderr } = await westwind(['inspect', job.config, '--row', '2', '8']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /row 2 \("Who is in the sea, 1\? … And in the park\?"\): \d+ tokens, \d+ trained on/);
  assert.match(
    stdout,
    /<\|im_start\|>assistant\n\[\[A cat is in the sea\.<\|im_end\|>\n\]\]<\|im_start\|>user\nAnd in the park\?/,
  );
  assert.match(stdout, /row 8: what is trained on has no room within max_length 256 tokens/);
  assert.match(stdout, /train\.jsonl: 1 of 8 rows left out because they have no messages \(row 6\)/);
  assert.match(stdout, /train\.jsonl: 1 of 8 rows left out because they have no assistant turn \(row 7\)/);
  assert.match(
    stdout,
    /1 of 6 training rows were left out, for they have no room within max_length 256 \(rows? 8\)/,
  );
  assert.doesNotMatch(stdout, /laid out as ChatML/);
});

test('a row that is no chat is told in one line, and so is a template that refuses one', async () => {
  const image = { role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] };
  const job = makeChatJob('openai');
  const first = readFileSync(join(job.folder, 'train.jsonl'), 'utf8').split('\n')[0]!;
  writeFileSync(join(job.folder, 'train.jsonl'), `${first}\n${JSON.stringify({ messages: [image] })}\n`);
  const refused = await westwind(['run', job.config]);
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /^westwind: .*train\.jsonl: row 2: the content of message 1 is neither a text nor made of parts of text, but has image_url: only text is read; .*\n$/,
  );
  const tools = { messages: talk(1), tools: [{ type: 'function', function: { name: 'f' } }] };
  writeFileSync(join(job.folder, 'train.jsonl'), `${first}\n${JSON.stringify(tools)}\n`);
  const noPlace = await westwind(['run', job.config, '--set', 'tasks.talk.baselines=[]']);
  assert.equal(noPlace.code, 2);
  assert.match(noPlace.stderr, /row 2: .*ChatML has no place for tools; give a template that has\n$/);
});

test('the starter works on the data of the repository', async () => {
  const folder = temporaryFolder();
  const config = join(folder, 'chat.yaml');
  assert.equal((await westwind(['init', 'chat', '-o', config])).code, 0);
  const small = ['model_name_or_path=examples/model', 'training.packing=isolated'].flatMap((one) => [
    '--set',
    one,
  ]);
  const { code, stdout, stderr } = await westwind(['inspect', config, '--rows', '1', ...small]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /1000 training rows, 0 validation rows, 160 test rows/);
});
