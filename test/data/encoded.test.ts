import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { EncodedFile } from '../../src/data/encoded.js';
import { packConcat, packIsolated, unpacked, type Block, type Example } from '../../src/data/index.js';
import { storedBlocks } from '../../src/data/stored-blocks.js';

const folder = mkdtempSync(join(tmpdir(), 'westwind-encoded-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;
const fresh = (): string => join(folder, String(made++));

const EOS = 2;

const example = fc
  .record({
    length: fc.integer({ min: 2, max: 40 }),
    prompt: fc.nat({ max: 30 }),
    ended: fc.boolean(),
    row: fc.nat(1e6),
    source: fc.constantFrom(undefined, 0, 1),
    shortened: fc.boolean(),
  })
  .map(({ length, prompt, ended, row, shortened }) => {
    const ids = Array.from({ length }, (_, i) =>
      ended && i === length - 1 ? EOS : 10 + ((row + 7 * i) % 50),
    );
    // The last is always trained on, and within any block that is long enough the second, too.
    const labels = ids.map((id, i) => (i === 1 || i === length - 1 || i >= prompt ? id : -100));
    return { ids, labels, row, shortened };
  });

const plain = (block: Block): Block => ({
  ...{ ids: block.ids, labels: block.labels, positions: block.positions, segments: block.segments },
  rows: block.rows,
  ...(block.encoder && { encoder: block.encoder }),
  ...(block.sources && { sources: block.sources }),
});

test('blocks of a file are those of memory, however they are packed', () => {
  const pairs = fc.array(fc.tuple(example, fc.integer({ min: 1, max: 50 })), { maxLength: 30 });
  fc.assert(
    fc.property(
      pairs,
      fc.integer({ min: 2, max: 48 }),
      fc.boolean(),
      fc.boolean(),
      (given, length, mixture, paired) => {
        const examples = given.map(([one, encoder], i) => ({
          ...one,
          ...(mixture && { source: i % 3 }),
          ...(paired && { encoderIds: Array.from({ length: encoder }, (_, t) => 100 + t) }),
        }));
        const file = new EncodedFile(fresh());
        // In pieces, and some left out.
        for (let i = 0; i < examples.length; i += 7) {
          const piece = examples.slice(i, i + 7);
          file.append([...piece, undefined], [...piece.map(({ row }) => row), 9]);
        }
        const options = { length, eosTokenId: EOS };
        const same = (found: Block[], wanted: Block[]): void =>
          assert.deepEqual(found.map(plain), wanted.map(plain));
        same(storedBlocks(file, 'none', options), unpacked(examples, options));
        same(storedBlocks(file, 'isolated', options), packIsolated(examples, options));
        if (!paired) {
          same(storedBlocks(file, 'concat', options), packConcat(examples, options));
          const short = { ...options, dropLast: true };
          same(storedBlocks(file, 'concat', short), packConcat(examples, short));
        }
        file.close();
      },
    ),
    { numRuns: 60 },
  );
});

test('what was written is there for the next process, whole texts only', () => {
  const texts = [...Array(20).keys()].map((row) => ({
    ids: Array.from({ length: row + 2 }, (_, i) => 5 + i),
    labels: Array.from({ length: row + 2 }, (_, i) => (i === 0 ? -100 : 5 + i)),
    row,
    shortened: row % 2 === 0,
  }));
  const write = (file: EncodedFile, from: number, to: number): void =>
    file.append(
      texts.slice(from, to),
      texts.slice(from, to).map(({ row }) => row),
    );
  const shown = (file: EncodedFile): Example[] =>
    Array.from({ length: file.length }, (_, i) => {
      const { ids, labels, ...rest } = file.at(i);
      return { ...rest, ids: [...Array.from(ids)], labels: [...Array.from(labels)] };
    });
  const path = fresh();
  write(new EncodedFile(path), 0, 8);
  // Killed between the numbers and the record, within the numbers, and within the record.
  appendFileSync(join(path, 'tokens.bin'), Buffer.alloc(17));
  const second = new EncodedFile(path);
  assert.equal(second.length, 8);
  write(second, 8, 12);
  truncateSync(join(path, 'texts.bin'), statSync(join(path, 'texts.bin')).size - 5);
  const third = new EncodedFile(path);
  assert.equal(third.length, 11);
  write(third, 11, 14);
  truncateSync(join(path, 'tokens.bin'), statSync(join(path, 'tokens.bin')).size - 3);
  const last = new EncodedFile(path);
  assert.equal(last.length, 13);
  write(last, 13, 20);
  assert.deepEqual(shown(last), texts);
  assert.deepEqual(shown(new EncodedFile(path)), texts);
  assert.deepEqual(
    [last.isShortened(0), last.isShortened(1), last.isLeftOut(3), last.row(7)],
    [true, false, false, 7],
  );
});
