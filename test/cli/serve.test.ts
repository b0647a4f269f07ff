/** `westwind serve` as its users start it: a process, a port, a client; Ctrl-C ends it in order. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { makeModel, start, temporaryFolder, westwind, type Running } from './support.js';

let model: string;
before(async () => (model = await makeModel(temporaryFolder())));

const usual = ['--port', '0', '--max-model-len', '64', '--device', 'cpu'];

async function listening(
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
): Promise<{ url: string; server: Running }> {
  const server = start(['serve', model, ...usual, ...args], env ? { env } : {});
  let shown = '';
  server.child.stdout!.on('data', (text: string) => (shown += text));
  await server.until('/v1\n');
  const url = /serving .* at (http:\S+)\/v1/.exec(shown)![1]!;
  return { url, server };
}

describe('serve', () => {
  it('answers, and ends with what is asked when it is told to', async () => {
    const { url, server } = await listening(['--served-model-name', 'tiny']);
    const ask = (more: object = {}) =>
      fetch(`${url}/v1/completions`, {
        method: 'POST',
        body: JSON.stringify({
          model: 'tiny',
          prompt: 'Once upon',
          max_tokens: 40,
          logit_bias: { 1: -100, 2: -100 },
          ...more,
        }),
      });
    const first = await ask();
    assert.equal(first.status, 200);
    const asked = ask({ stream: true });
    const reader = (await asked).body!.getReader();
    let part = await reader.read();
    server.signal('SIGTERM');
    let text = '';
    for (; !part.done; part = await reader.read()) text += Buffer.from(part.value).toString();
    assert.match(text, /data: \[DONE\]\n\n$/);
    const { code, stderr } = await server.ended;
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
  });

  it('takes keys from the environment, and says so where anybody may ask', async () => {
    const { url, server } = await listening([], { WESTWIND_API_KEY: 'sk-one,sk-two' });
    const models = (key: string) =>
      fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    assert.deepEqual(
      [(await models('sk-one')).status, (await models('sk-two')).status, (await models('sk-three')).status],
      [200, 200, 401],
    );
    server.signal('SIGINT');
    assert.equal((await server.ended).code, 0);
    const open = await listening(['--host', '0.0.0.0']);
    open.server.signal('SIGTERM');
    const { stderr } = await open.server.ended;
    assert.match(stderr, /whoever reaches 0\.0\.0\.0 can use this model: set WESTWIND_API_KEY/);
  });

  it('tells what is wrong in one line', async () => {
    const { url, server } = await listening([]);
    const taken = new URL(url).port;
    for (const [args, message] of [
      [['--port', taken], /cannot listen at 127\.0\.0\.1, port \d+: another program listens there/],
      [['--port', '99999'], /a whole number from 0 to 65535 is wanted/],
      [['--adapter', 'x'], /NAME=DIR is wanted/],
      [['--adapter', 'x=/nowhere'], /\/nowhere/],
      [['--max-model-len', '100000'], /--max-model-len is 100000, and the model's context is/],
      [['--chat-template', '/nowhere'], /cannot read \/nowhere/],
    ] as const) {
      const { code, stderr } = await westwind(['serve', model, ...usual, ...args]);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    server.signal('SIGTERM');
    await server.ended;
  });
});
