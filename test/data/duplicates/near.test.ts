import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GramReader } from '../../../src/data/duplicates/grams.js';
import { jaccard, NEAR, nearRepeats, SHINGLE_WORDS } from '../../../src/data/duplicates/near.js';
import { RandomState } from '../../../src/util/mt19937.js';
import { atOnce } from '../../../src/util/turns.js';

const near = (texts: readonly string[]): number[] => [...atOnce(nearRepeats(texts))];

/** Words by the definition: lower case, no punctuation, parted by white space. */
const wordsOf = (text: string): string[] =>
  text
    .normalize('NFC')
    .toLowerCase()
    .replace(/[\p{P}\p{S}\p{Cf}]/gu, '')
    .split(/\s+/)
    .filter((word) => word !== '');

function shingles(text: string, n = SHINGLE_WORDS): Set<string> {
  const words = wordsOf(text);
  const size = Math.min(n, words.length);
  return new Set(
    size === 0
      ? []
      : Array.from({ length: words.length - size + 1 }, (_, i) => words.slice(i, i + size).join(' ')),
  );
}

function index(a: Set<string>, b: Set<string>): number {
  const both = [...a].filter((one) => b.has(one)).length;
  return both / (a.size + b.size - both);
}

/** Texts of `words` words of which many are altered copies of earlier ones. */
function texts(seed: number, count: number, words: number): string[] {
  const random = new RandomState(seed);
  const below = (n: number): number => Math.floor(random.permutation([...Array(n).keys()])[0]!);
  const made: string[][] = [];
  const word = (): string => `${'abcdefghij'[below(10)]!}${below(200)}`;
  for (let i = 0; i < count; i++) {
    if (i === 0 || below(3) === 0) made.push(Array.from({ length: 1 + below(words) }, word));
    else {
      const copy = [...made[below(made.length)]!];
      for (let k = below(1 + Math.ceil(copy.length / 20)); k > 0; k--) copy[below(copy.length)] = word();
      made.push(copy);
    }
  }
  return made.map((list) => list.join(below(2) === 0 ? ' ' : ', ').replace(/^./, (c) => c.toUpperCase()));
}

describe('grams', () => {
  test('are those of the words as defined, in every script', () => {
    const given = [
      'It’s  a “Test” — of 3.5 words,\nnot more!',
      'Ünïcode e\u0301t ÉTÉ; straße',
      'наука и жизнь, дважды наука и жизнь',
      '... ?! 😀',
      '',
      'emoji 😀 within𝒳 a text 𝒳 of 𐐷 words',
      '\u0000a\u0000b\u200bc',
    ];
    for (const text of given)
      for (const n of [1, 2, 5]) {
        const reader = new GramReader(n, 'whole');
        reader.read(text);
        const wanted = shingles(text.replaceAll('\u0000', ' '), n);
        assert.equal(reader.distinct().length, wanted.size, `${n} of ${JSON.stringify(text)}`);
      }
    const reader = new GramReader(2, 'none');
    reader.read('one');
    assert.equal(reader.length, 0);
    // Where no spaces are written, a character is a word.
    reader.read('今日は天気がいい abc 、');
    assert.equal(reader.length, 8);
  });

  test('are equal where the words are, and not otherwise', () => {
    const hash = (text: string): string => {
      const reader = new GramReader(3, 'none');
      reader.read(text);
      return [...reader.low].slice(0, reader.length).join() + [...reader.high].slice(0, reader.length).join();
    };
    assert.equal(hash('A, b. c'), hash(' a b C!'));
    const all = new Set<string>();
    for (const a of ['a', 'b', 'ab', 'ba', 'c'])
      for (const b of ['a', 'b', 'ab', 'ba', 'c'])
        for (const c of ['a', 'b', 'ab', 'ba', 'c']) all.add(hash(`${a} ${b} ${c}`));
    assert.equal(all.size, 125);
  });

  test('of a long text are found wherever it begins', () => {
    const words = Array.from({ length: 5000 }, (_, i) => `w${i % 700}`);
    const [all, tail] = [new GramReader(13, 'none'), new GramReader(13, 'none')];
    all.read(words.join(' '));
    tail.read(words.slice(123).join(' '));
    assert.equal(all.length, 4988);
    assert.deepEqual(
      [...all.low].slice(123, all.length).concat([...all.high].slice(123, all.length)),
      [...tail.low].slice(0, tail.length).concat([...tail.high].slice(0, tail.length)),
    );
    assert.equal(all.distinct().length, 700);
  });
});

describe('near repeats', () => {
  test('are those of the brute force: none that is not near, and nearly all that are', () => {
    let [wanted, found] = [0, 0];
    for (const [seed, words] of [6, 12, 30, 100, 400].entries()) {
      const given = texts(seed, 150, words);
      const sets = given.map((text) => shingles(text));
      const got = near(given);
      const kept = (i: number): boolean => got[i]! < 0;
      for (const [i, set] of sets.entries()) {
        if (got[i]! >= 0) {
          assert.ok(got[i]! < i && kept(got[i]!));
          assert.ok(index(set, sets[got[i]!]!) >= NEAR, `${given[i]!} | ${given[got[i]!]!}`);
        }
        if (!sets.slice(0, i).some((other, j) => kept(j) && index(set, other) >= NEAR)) continue;
        wanted++;
        if (got[i]! >= 0) found++;
      }
    }
    assert.ok(wanted > 200, `${wanted} are near`);
    assert.ok(found / wanted > 0.97, `${found} of ${wanted} were found`);
  });

  test('are the same each time, and do not depend on what follows', () => {
    const given = texts(7, 120, 50);
    assert.deepEqual(near(given), near(given));
    assert.deepEqual(near(given.slice(0, 60)), near(given).slice(0, 60));
  });

  test('of short texts differ in case and punctuation alone', () => {
    assert.deepEqual(
      near(['Yes', 'no', 'yes!', 'yes no', '', '', '?', '?']),
      [-1, -1, 0, -1, -1, -1, -1, -1],
    );
    assert.deepEqual(
      near(['the cat sat down here', 'the dog sat down here', 'The cat sat down here.']),
      [-1, -1, 0],
    );
  });

  test('are not compared with what is left out, nor with each other', () => {
    const given = ['a b c d e f', 'x', 'A b c d e f', 'a b c d e f!'];
    assert.deepEqual([...atOnce(nearRepeats(given, (i) => i === 0))], [-1, -1, -1, 2]);
    assert.deepEqual(near(given), [-1, -1, 0, 0]);
  });

  test('take no more than a few comparisons a text, however alike the texts are', () => {
    const head = Array.from({ length: 60 }, (_, i) => `t${i}`).join(' ');
    let reads = 0;
    const count = 3000;
    const given = {
      length: count,
      at: (i: number) => {
        reads++;
        return `${head} ${Array.from({ length: 30 }, (_, k) => `u${i}x${k}`).join(' ')}`;
      },
    };
    atOnce(nearRepeats(given));
    assert.ok(reads <= 5 * count, `${reads} reads of ${count} texts`);
  });
});

test('Jaccard’s index is that of sets', () => {
  assert.equal(jaccard(Float64Array.of(1, 2, 3), Float64Array.of(2, 3, 4)), 0.5);
  assert.equal(jaccard(Float64Array.of(1), Float64Array.of(1)), 1);
  assert.equal(jaccard(Float64Array.of(1), Float64Array.of()), 0);
});
