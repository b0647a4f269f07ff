/** `westwind chat`: what is said is what `generate --chat` says to the same conversation, and keys and signals end what they should. */

import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { CHATML } from '../../src/tokenizer/index.js';
import { tinyConfig } from '../support/tiny.js';
import { commandOf, makeModel, temporaryFolder, westwind } from './support.js';

const TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

const folder = temporaryFolder();
const [model, bare] = [join(folder, 'model'), join(folder, 'bare')];

before(async () => {
  for (const path of [model, bare])
    await makeModel(path, tinyConfig({ max_position_embeddings: 4096, sliding_window: null }));
  const path = join(model, 'tokenizer_config.json');
  const settings = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...settings, chat_template: TEMPLATE }));
});

interface Talk {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  readonly say: (text: string) => void;
  /** Resolves once the output has `text` behind what was awaited before. */
  readonly until: (text: string | RegExp) => Promise<void>;
}

/** Starts the chat; `terminal`: in a pseudo-terminal. */
function talk(args: readonly string[], terminal = false): Talk {
  const [program, ...words] = commandOf(['chat', ...args]);
  const line = [program, ...words].map((word) => `'${word}'`).join(' ');
  const child = terminal
    ? spawn('script', ['-qec', line, '/dev/null'], { env: { ...process.env, WESTWIND_THREADS: '1' } })
    : spawn(program, words, { env: { ...process.env, NO_COLOR: '1', WESTWIND_THREADS: '1' } });
  let stdout = '';
  let stderr = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return {
    child,
    ended: new Promise((done) => child.on('close', (code) => done({ code, stdout, stderr }))),
    say: (text) => void child.stdin.write(text),
    until: (text) =>
      new Promise((done, fail) => {
        const look = (): void => {
          const found =
            typeof text === 'string' ? stdout.indexOf(text, seen) : stdout.slice(seen).search(text);
          if (found < 0) return;
          seen = typeof text === 'string' ? found + text.length : stdout.length;
          child.stdout.off('data', look);
          done();
        };
        child.stdout.on('data', look);
        child.on('close', () => fail(new Error(`ended without ${String(text)}: ${stdout}${stderr}`)));
        look();
      }),
  };
}

/** What a chat writes to these lines. */
async function answersTo(lines: readonly string[], ...args: string[]): Promise<string> {
  const { child, ended } = talk(args);
  child.stdin!.end(lines.join('\n'));
  const { code, stdout, stderr } = await ended;
  assert.equal(code, 0, stderr);
  return stdout;
}

interface Message {
  readonly role: string;
  readonly content: string;
}

/** What `generate --chat` answers to each of the user's messages in turn, its answers before among them. */
async function generated(of: string, users: readonly string[], system?: string): Promise<string[]> {
  const messages: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  const answers: string[] = [];
  for (const content of users) {
    messages.push({ role: 'user', content });
    const file = join(folder, 'messages.json');
    writeFileSync(file, JSON.stringify(messages));
    const { stdout, stderr } = await westwind(['generate', of, '-f', file, '--chat', '--json', '-n', '12']);
    assert.ok(stdout, stderr);
    const { answer } = JSON.parse(stdout) as { answer: string };
    answers.push(answer);
    messages.push({ role: 'assistant', content: answer });
  }
  return answers;
}

const written = (answers: readonly string[]): string => answers.map((answer) => `${answer}\n`).join('');

describe('westwind chat', { timeout: 300_000 }, () => {
  it('answers each line of a pipe behind all that was said, and begins anew where it is told to', async () => {
    const users = ['The boat is red', 'She has a cat', 'Why?'];
    const [plain, kind] = [
      await generated(model, users),
      await generated(model, users.slice(0, 2), 'Be kind.'),
    ];
    const lines = [...users, '', '/reset', users[0]!, '/system Be kind.', ...users.slice(0, 2)];
    const answers = [...plain, plain[0]!, ...kind];
    assert.equal(await answersTo(lines, model, '-n', '12'), written(answers));
    assert.equal(
      await answersTo(users.slice(0, 2), model, '-n', '12', '--system', 'Be kind.'),
      written(kind),
    );
    assert.match(
      await answersTo(['/help', '/exit', 'Never read'], model),
      /^\/reset .*\n\/system TEXT .*\n[^]*Ctrl-C/,
    );
  });

  it('lays a chat out as ChatML where the model has no template, and says so', async () => {
    const file = join(folder, 'chatml.jinja');
    writeFileSync(file, CHATML);
    const of = (...args: string[]): Promise<string> => answersTo(['Hello', 'And now?'], ...args, '-n', '12');
    assert.equal(await of(bare), await of(model, '--chat-template', file));
    const { child, ended } = talk([bare]);
    child.stdin!.end();
    assert.match((await ended).stderr, /^westwind: \S+bare has no chat template: .*ChatML; .*\n$/);
  });

  it('ends an answer where its turn ends, also where several tokens do, and shows nothing of that', async () => {
    const [whole] = (await generated(model, ['The boat is red'])) as [string];
    // What the model writes in the middle of its answer, as if it were a turn's end.
    const [end] = /(?<=[^]{2})[a-z]{3,}/i.exec(whole)!;
    const file = join(folder, 'ends.jinja');
    writeFileSync(
      file,
      "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}" +
        `{% if m['role'] == 'assistant' %}{{ '${end}' }}{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`,
    );
    const shown = await answersTo(['The boat is red'], model, '-n', '12', '--chat-template', file);
    assert.equal(shown, `${whole.slice(0, whole.indexOf(end))}\n`);
  });

  it('ends with one line where a line of a pipe cannot be answered', async () => {
    for (const [line, message] of [
      ['/rest', /^westwind: there is no \/rest: \/reset, .*\n$/],
      [
        'boat '.repeat(4000),
        /^westwind: the conversation has \d+ tokens, and the model's context is 4096: .*\n$/,
      ],
    ] as const) {
      const { child, ended } = talk([model]);
      child.stdin!.end(line);
      const { code, stderr } = await ended;
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });

  it('ends an answer on SIGINT and goes on; a second one ends it with 130', async () => {
    const { child, ended, say, until } = talk([model, '-n', '4000']);
    for (const message of ['The boat is red', 'She has a cat']) {
      say(`${message}\n`);
      await until(/\S/);
      child.kill('SIGINT');
      await until(/\n$/);
    }
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    assert.equal(code, 130, stderr);
    assert.equal(stderr, '');
  });

  it(
    'has a history and Ctrl-C in a terminal',
    { skip: !hasScript() && 'there is no script(1)' },
    async () => {
      const { ended, say, until } = talk([model, '-n', '4000'], true);
      await until('> ');
      say('The boat is red\r');
      await until(/red\s+\S/);
      say('\x03');
      await until('> ');
      // The message before, from the history.
      say('\x1b[A');
      await until('The boat is red');
      say('\x15/reset\r');
      await until('> ');
      say('half a mess\x03');
      await until('once more, or /exit, ends the chat');
      await until('> ');
      say('\x03');
      assert.equal((await ended).code, 130);
    },
  );
});

function hasScript(): boolean {
  return spawnSync('script', ['--version']).status === 0;
}
