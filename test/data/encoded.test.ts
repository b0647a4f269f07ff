import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { EncodedFile } from '../../src/data/encoded.js';
import {
  packConcat,
  packIsolated,
  unpacked,
  type Block,
  type ConcatOptions,
  type Example,
} from '../../src/data/index.js';
import { storedBlocks, type Packing } from '../../src/data/stored-blocks.js';
import { rowsOf } from '../../src/train/batch.js';
import { atOnce } from '../../src/util/turns.js';

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
        const same = (packing: Packing, wanted: () => Block[], of: ConcatOptions = options): void => {
          const made = (): Block[] => atOnce(storedBlocks(file, packing, of));
          const [found, blocks] = [made(), wanted()];
          assert.deepEqual(
            found.map(({ size }) => size),
            blocks.map(rowsOf),
          );
          assert.deepEqual(found.map(plain), blocks.map(plain));
        };
        same('none', () => unpacked(examples, options));
        same('isolated', () => packIsolated(examples, options));
        if (!paired || examples.length === 0) {
          same('concat', () => packConcat(examples, options));
          const short = { ...options, dropLast: true };
          same('concat', () => packConcat(examples, short), short);
        } else
          assert.throws(() => atOnce(storedBlocks(file, 'concat', options)), /concat joins texts into one/);
      },
    ),
    { numRuns: 60 },
  );
});

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

test('what was written is there for the next process, whole texts only', () => {
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

test('a kill at any byte, and zeros in the place of what was not yet on the disk, cost texts at the end alone', () => {
  const harm = fc.record({
    written: fc.integer({ min: 1, max: texts.length }),
    tokens: fc.double({ min: 0, max: 1, noNaN: true }),
    records: fc.double({ min: 0, max: 1, noNaN: true }),
    how: fc.constantFrom('cut', 'zeros', 'noise'),
  });
  fc.assert(
    fc.property(fc.array(harm, { maxLength: 4 }), (harms) => {
      const path = fresh();
      for (const { written, tokens, records, how } of harms) {
        const file = new EncodedFile(path);
        atOnce(file.mended());
        const [before, after] = [file.length, Math.max(file.length, written)];
        write(file, before, after);
        for (const [name, share] of [
          ['tokens.bin', tokens],
          ['texts.bin', records],
        ] as const) {
          const bytes = readFileSync(join(path, name));
          const from = Math.floor(share * bytes.length);
          const behind = Buffer.alloc(bytes.length - from, how === 'noise' ? 0xa7 : 0);
          const left = how === 'cut' ? [] : [behind];
          writeFileSync(join(path, name), Buffer.concat([bytes.subarray(0, from), ...left]));
        }
      }
      const last = new EncodedFile(path);
      atOnce(last.mended());
      assert.deepEqual(shown(last), texts.slice(0, last.length));
      write(last, last.length, texts.length);
      assert.deepEqual(shown(last), texts);
      assert.deepEqual(shown(new EncodedFile(path)), texts);
    }),
    { numRuns: 60 },
  );
});

test('what came to its end is not looked through again, and damage to it is told', async () => {
  const path = fresh();
  const file = new EncodedFile(path);
  write(file, 0, 20);
  await file.end();
  const bytes = readFileSync(join(path, 'tokens.bin'));
  bytes[4]! ^= 1;
  writeFileSync(join(path, 'tokens.bin'), bytes);
  const again = new EncodedFile(path);
  atOnce(again.mended());
  assert.equal(again.length, 20);
  assert.throws(() => again.at(0), /tokens\.bin is damaged; remove .*, and it is made again$/);
  assert.deepEqual(Array.from(again.at(19).ids), texts[19]!.ids);
});
