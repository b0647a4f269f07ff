/** Many samples side by side come out as one by one: texts, shortened ones, labels, and the first row that cannot be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  createTask,
  encodePrompt,
  encodePrompts,
  labelContinuations,
  labelContinuationsLater,
  promptsFor,
  promptsLater,
  toSample,
  trainingExample,
  trainingExamples,
  type Method,
  type TokenizerLike,
} from '../../src/tasks/index.js';
import { encodeLater, encodeNow, sideBySide, type Encoding } from '../../src/tasks/rounds.js';
import { Tokenizer } from '../../src/tokenizer/index.js';
import { WordTokenizer } from './word-tokenizer.js';

const LABELS = ['one', 'two words', '3', 'one more'];
const topics = createTask({ task: 'classification', labels: LABELS });

/** Takes batches alone. */
class Batches implements TokenizerLike {
  readonly eosId: number;

  constructor(
    private readonly own: WordTokenizer,
    readonly decoderStartId?: number,
  ) {
    this.eosId = own.eosId;
  }

  encode(): never {
    throw new Error('a text was encoded alone');
  }

  encodeBatch(texts: readonly string[], options: { addSpecialTokens?: boolean }): Promise<number[][]> {
    return Promise.resolve(texts.map((text) => this.own.encode(text, options)));
  }

  decode(ids: readonly number[]): string {
    return this.own.decode(ids);
  }
}

/** The same words, with an encoder where there is a start. */
function pairOf(start: number | undefined): [now: TokenizerLike, later: TokenizerLike] {
  const words = new WordTokenizer();
  const now: TokenizerLike = {
    eosId: words.eosId,
    ...(start !== undefined && { decoderStartId: start }),
    encode: (text, options) => words.encode(text, options),
    decode: (ids) => words.decode(ids),
  };
  return [now, new Batches(words, start)];
}

const outcome = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work();
  } catch (error) {
    return String(error);
  }
};

const bodies = fc.array(
  fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.constantFrom('', ' ', 'a', '\ud800', '### Class:', 'x'.repeat(1000)),
    fc.integer({ min: 1, max: 20_000 }).map((n) => 'word '.repeat(n)),
  ),
  { maxLength: 12 },
);

test('samples side by side are those one by one, by a tokenizer of words with and without an encoder', async () => {
  await fc.assert(
    fc.asyncProperty(
      bodies,
      fc.constantFrom(undefined, 0),
      fc.integer({ min: 6, max: 200 }),
      fc.constantFrom<Method>('tuned', 'zero_shot', 'few_shot'),
      async (texts, start, limit, kind) => {
        const [now, later] = pairOf(start);
        const samples = texts.map((text, i) =>
          toSample(topics, { text, label: LABELS[i % LABELS.length] }, i),
        );
        const options = { max_length: limit, completion_only_loss: true };
        assert.deepEqual(
          await outcome(() => trainingExamples(topics, samples, later, options)),
          await outcome(() => samples.map((sample) => trainingExample(topics, sample, now, options))),
        );
        const asked = { limit: 4 * limit, shown: samples.slice(0, 3) };
        assert.deepEqual(
          await outcome(() => promptsLater(topics, kind, samples, later, asked)),
          await outcome(() => promptsFor(topics, kind, samples, now, asked)),
        );
        assert.deepEqual(
          await labelContinuationsLater(topics, kind, later),
          labelContinuations(topics, kind, now),
        );
        assert.deepEqual(
          await encodePrompts(later, texts),
          texts.map((text) => encodePrompt(now, text)),
        );
      },
    ),
    { numRuns: 20 },
  );
});

test('samples side by side are those one by one, by the tokenizer of a model', async () => {
  const tokenizer = Tokenizer.load('test/golden/stories260K');
  const again = Tokenizer.load('test/golden/stories260K');
  const texts = fc.sample(fc.string({ unit: 'grapheme', maxLength: 300 }), { numRuns: 12, seed: 1 });
  const samples = texts.map((text, i) => toSample(topics, { text, label: LABELS[i % LABELS.length] }, i));
  for (const max_length of [60, 1000]) {
    const options = { max_length, completion_only_loss: true };
    assert.deepEqual(
      await trainingExamples(topics, samples, tokenizer, options),
      samples.map((sample) => trainingExample(topics, sample, again, options)),
    );
  }
});

test('the first work that fails is the one that is told, and other things have their turn', async () => {
  const words = new WordTokenizer();
  function* work(rounds: number, fails: boolean, name: number): Encoding<number> {
    for (let i = 0; i < rounds; i++) yield [{ text: `${name}`, special: i % 2 === 0 }];
    if (fails) throw new Error(`work ${name}`);
    return name;
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ rounds: fc.nat(5), fails: fc.boolean() }), { maxLength: 10 }),
      async (plans) => {
        const works = (): Encoding<number>[] => plans.map(({ rounds, fails }, i) => work(rounds, fails, i));
        const first = plans.findIndex(({ fails }) => fails);
        const wanted = first < 0 ? plans.map((_, i) => i) : `Error: work ${first}`;
        assert.deepEqual(await outcome(() => encodeNow(words, sideBySide(works()))), wanted);
        assert.deepEqual(await outcome(() => encodeLater(words, sideBySide(works()))), wanted);
      },
    ),
  );
  let turned = false;
  setImmediate(() => (turned = true));
  await encodeLater(words, work(1, false, 0));
  assert.ok(turned);
});
