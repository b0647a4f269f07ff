/** The engine against the Rust library itself, its death, and the engine for platforms without it. WESTWIND_TEST_TEXTS: texts a tokenizer. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { EngineHandle } from '../../src/tokenizer/engine/index.js';
import { scriptEngine } from '../../src/tokenizer/engine/script.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { UserError } from '../../src/util/errors.js';
import { compareWithLibrary, rust } from '../support/library.js';
import { builtTokenizers, llamaLike, textsOf } from '../support/tokenizers.js';

const TEXTS = Number(process.env['WESTWIND_TEST_TEXTS'] ?? 30);
const folder = mkdtempSync(join(tmpdir(), 'westwind-'));
after(() => rmSync(folder, { recursive: true }));

type Json = Record<string, unknown>;

function load(json: Json, config: Json = {}): Tokenizer {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return Tokenizer.load(folder);
}

describe('the engine', () => {
  it('has ids, offsets and texts of the Rust library, whatever the parts', async () => {
    const all = [...builtTokenizers()].map(([name, json]) => ({
      ...{ name, tokenizer: load(json) },
      library: rust.Tokenizer.fromString(JSON.stringify(json)),
    }));
    await compareWithLibrary(all, TEXTS);
  });

  it('keeps no process alive when all is answered, also what came while somebody stood still', () => {
    const engine = JSON.stringify(new URL('../../src/tokenizer/engine/index.ts', import.meta.url).href);
    const json = JSON.stringify(JSON.stringify(llamaLike()));
    const code = `import { EngineHandle } from ${engine};
      const engine = EngineHandle.load(${json});
      const later = engine.decodeLater([[5]], true);
      engine.decode([[6]], true);
      await later;
      console.log(process.getActiveResourcesInfo().includes('MessagePort'));`;
    const path = join(folder, 'alive.mts');
    writeFileSync(path, code);
    const loader = import.meta.resolve('tsx');
    assert.equal(execFileSync(process.execPath, ['--import', loader, path], { encoding: 'utf8' }), 'false\n');
  });

  it('gives in batches, however they are split, what it gives one by one', async () => {
    const built = builtTokenizers();
    const named = (part: RegExp): Json => [...built].find(([name]) => part.test(name))![1];
    // Longer than all that goes to the engine at once, of few tokens.
    const words = { ...named(/model wordLevel/), pre_tokenizer: { type: 'WhitespaceSplit' } };
    const long = `\ud83d ${`${'🙂'.repeat(250)} the `.repeat(600)}\udc00`;
    for (const json of [words, llamaLike(), named(/post-processor.*"Roberta/), named(/Precompiled/)]) {
      const [tokenizer, other] = [load(json), load(json)];
      const check = async (texts: readonly string[], cuts: readonly number[]): Promise<void> => {
        const ends = [...new Set([...cuts.filter((cut) => cut < texts.length), texts.length])];
        const parts = ends.sort((a, b) => a - b).map((end, i) => texts.slice(ends[i - 1] ?? 0, end));
        for (const options of [{}, { addSpecialTokens: false }]) {
          const batches = await Promise.all(parts.map((part) => tokenizer.encodeBatch(part, options)));
          const both = await Promise.all(
            parts.map((part) => tokenizer.encodeBatchWithOffsets(part, options)),
          );
          const ids = texts.map((text) => other.encode(text, options));
          assert.deepEqual(batches.flat(), ids);
          assert.deepEqual(
            both.flat(),
            texts.map((text) => other.encodeWithOffsets(text, options)),
          );
          assert.deepEqual(
            await tokenizer.decodeBatch(ids),
            ids.map((own) => other.decode(own)),
          );
        }
      };
      if (json === words) await check(['the', '', long, 'the'], [1]);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.oneof(textsOf, fc.constantFrom('', ' ', '\ud800', '\udc00\ud800')), { maxLength: 8 }),
          fc.array(fc.nat(8), { maxLength: 3 }),
          check,
        ),
        { numRuns: 5 },
      );
    }
  });

  it('keeps what was asked for last, and hands out copies of it', async () => {
    const tokenizer = load(llamaLike());
    const first = tokenizer.encode('the inn');
    const expected = [...first];
    first.fill(0);
    (await tokenizer.encodeBatch(['the inn', 'the inn'])).forEach((ids) => ids.fill(0));
    assert.deepEqual(tokenizer.encode('the inn'), expected);
    assert.notDeepEqual(tokenizer.encode('the inn', { addSpecialTokens: false }), expected);
  });

  it('splits by Unicode, puts named tokens by their ids, and decodes bytes', () => {
    const tokenizer = load(llamaLike());
    const bytes = (...all: string[]): number[] => all.map((byte) => tokenizer.tokenToId(`<0x${byte}>`)!);
    assert.equal(tokenizer.decode(bytes('EF', 'BB', 'BF', '41')), '\ufeffA');
    assert.equal(tokenizer.decode(bytes('F0', '9F')), '\ufffd\ufffd');
    assert.equal(tokenizer.encode('the').at(0), 1);
    assert.deepEqual(tokenizer.encode(''), [1]);
  });

  it('puts around a text what transformers 5 puts', () => {
    const ids = (config: Json): number[] =>
      load(llamaLike(), { bos_token: '<s>', eos_token: '</s>', ...config }).encode('the');
    const own = ids({}).slice(1);
    assert.deepEqual(ids({}), [1, ...own]);
    assert.deepEqual(ids({ add_bos_token: false }), own);
    assert.deepEqual(ids({ add_eos_token: true }), [...own, 2]);
    assert.deepEqual(ids({ add_bos_token: true, add_eos_token: true }), [1, ...own, 2]);
    assert.deepEqual(ids({ add_bos_token: true, bos_token: null }), own);
    const bare = { ...llamaLike(), post_processor: null };
    assert.deepEqual(load(bare, { bos_token: '<s>' }).encode('the'), own);
    // Behind all others stand tokens that only the configuration names.
    const more = load(llamaLike(), { pad_token: '[PAD]' });
    assert.equal(more.padId, more.vocabSize - 1);
    assert.equal(more.decode([...more.encode('the'), more.padId]), 'the');
    // Cutting and filling are a call's to ask for.
    const cut = { max_length: 1, direction: 'Right', strategy: 'LongestFirst', stride: 0 };
    assert.deepEqual(load({ ...llamaLike(), truncation: cut }).encode('the'), [1, ...own]);
  });

  it('tells once of a second beginning', async () => {
    const told: string[] = [];
    const listen = (warning: Error): unknown => told.push(warning.message);
    process.on('warning', listen);
    const tokenizer = load(llamaLike(), { bos_token: '<s>' });
    tokenizer.encode('<s>the', { addSpecialTokens: false });
    for (let i = 0; i < 3; i++) assert.deepEqual(tokenizer.encode('<s>the').slice(0, 2), [1, 1]);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listen);
    assert.equal(told.length, 1);
    assert.match(told[0]!, /a second one/);
  });

  it('outlives a pattern that backtracks without end, and names it', async () => {
    const pre_tokenizer = {
      type: 'Split',
      pattern: { Regex: '(a+)+$' },
      behavior: 'Isolated',
      invert: false,
    };
    const tokenizer = load({ ...llamaLike(), pre_tokenizer });
    const hostile = `${'a'.repeat(64)}!`;
    const named = (error: unknown): boolean => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(
        error.message,
        /tokenizer\.json: the tokenizer gives up on 6[58] characters: .*retry-limit.*'\(a\+\)\+\$'/,
      );
      return true;
    };
    for (let i = 0; i < 2; i++) {
      assert.throws(() => tokenizer.encode(hostile), named);
      await assert.rejects(tokenizer.encodeBatch(['the', hostile]), named);
      assert.ok(tokenizer.encode('the').length > 1);
    }
  });

  it('forgets tokenizers that nobody has any more, and serves many', () => {
    const all = Array.from({ length: 40 }, () => EngineHandle.load(JSON.stringify(llamaLike())));
    for (const engine of all) assert.equal(engine.encode({ texts: ['the'], special: true }).ids[0], 1);
  });
});

describe('the engine without the library', () => {
  it('computes what it takes as the library does', async () => {
    const json = JSON.stringify(llamaLike());
    const script = scriptEngine(json);
    const library = rust.Tokenizer.fromString(json);
    for (let from = 0; from < 5 * TEXTS; from += 1000) {
      const texts = fc.sample(textsOf, { numRuns: Math.min(1000, 5 * TEXTS - from), seed: 19 + from });
      const encodings = await library.encodeBatch(texts.map((text) => text.toWellFormed()));
      const { ids, ends } = await script.encode({ texts, special: true });
      const wanted = encodings.map((encoding) => encoding.getIds());
      const decoded = await script.decode(wanted, true);
      const written = await library.decodeBatch(wanted, true);
      for (const [i, text] of texts.entries()) {
        const own = [...ids.subarray(ends[i - 1] ?? 0, ends[i])];
        assert.deepEqual(own, wanted[i], JSON.stringify(text));
        assert.equal(decoded[i], written[i], JSON.stringify(text));
      }
    }
    for (const ids of fc.sample(fc.array(fc.nat(300), { maxLength: 12 }), { numRuns: 200, seed: 20 }))
      assert.equal((await script.decode([ids], true))[0], await library.decode(ids, true), String(ids));
  });

  it('refuses the rest by name', () => {
    for (const [name, json] of builtTokenizers())
      if (!/sentencepiece/i.test(name))
        assert.throws(() => scriptEngine(JSON.stringify(json)), /no binary for .* needs it/, name);
  });
});
