import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { packConcat, packIsolated, unpacked, type Block, type Example } from '../../src/data/index.js';
import { flatten } from '../../src/train/batch.js';
import { UserError } from '../../src/util/errors.js';

const EOS = 2;

/** A text whose tokens say where they come from, trained on from `prompt` on. */
function text(row: number, length: number, prompt = 0): Example {
  const ids = Array.from({ length }, (_, i) => 1000 * (row + 1) + i);
  return { ids, labels: ids.map((id, i) => (i < prompt ? -100 : id)), row };
}

const texts = fc
  .array(fc.tuple(fc.integer({ min: 2, max: 40 }), fc.nat()), { maxLength: 30 })
  .map((sizes) => sizes.map(([size, prompt], row) => text(row, size, prompt % size)));
const blockLength = fc.integer({ min: 2, max: 48 });

function checkShape(block: Block, length: number): void {
  assert.ok(block.ids.length > 0 && block.ids.length <= length);
  for (const key of ['labels', 'positions', 'segments'] as const)
    assert.equal(block[key].length, block.ids.length);
}

function tokensOf(blocks: readonly Block[]): number[] {
  return blocks.flatMap((block) => [...block.ids]);
}

describe('isolated packing', () => {
  test('keeps each text whole, with its own positions and segment', () => {
    fc.assert(
      fc.property(texts, blockLength, (examples, length) => {
        const trainable = examples.filter(({ labels }) =>
          Array.from(labels)
            .slice(1, length)
            .some((l) => l >= 0),
        );
        const blocks = packIsolated(trainable, { length });
        const found = new Map<number, number[]>();
        for (const block of blocks) {
          checkShape(block, length);
          const rows = [...new Set(block.segments)].map((segment, i) => {
            assert.equal(segment, i);
            const at = [...block.ids.keys()].filter((t) => block.segments[t] === segment);
            assert.deepEqual(
              at.map((t) => block.positions[t]),
              [...at.keys()],
            );
            const ids = at.map((t) => block.ids[t]!);
            const row = Math.floor(ids[0]! / 1000) - 1;
            assert.deepEqual(
              at.map((t) => block.labels[t]),
              Array.from(examples[row]!.labels).slice(0, length),
            );
            found.set(row, ids);
            return row;
          });
          assert.deepEqual(block.rows, rows);
        }
        assert.equal(tokensOf(blocks).length, [...found.values()].flat().length);
        for (const { row, ids } of trainable)
          assert.deepEqual(found.get(row), Array.from(ids).slice(0, length));
      }),
    );
  });

  test('leaves no two blocks that would have fitted into one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 2, max: 40 }), { maxLength: 30 }), (sizes) => {
        const blocks = packIsolated(
          sizes.map((size, row) => text(row, size)),
          { length: 48 },
        );
        const lengths = blocks.map((b) => b.ids.length).sort((a, b) => a - b);
        if (lengths.length > 1) assert.ok(lengths[0]! + lengths[1]! > 48);
      }),
    );
  });

  test('counts the same targets as the unpacked texts', () => {
    fc.assert(
      fc.property(texts, (examples) => {
        const trainable = examples.filter(({ labels }) =>
          Array.from(labels)
            .slice(1)
            .some((l) => l >= 0),
        );
        const targets = (blocks: readonly Block[]): number[] =>
          [...flatten(blocks).targets].filter((t) => t !== -100).sort((a, b) => a - b);
        assert.deepEqual(
          targets(packIsolated(trainable, { length: 64 })),
          targets(unpacked(trainable, { length: 64 })),
        );
      }),
    );
  });
});

describe('packing by joining', () => {
  test('is one stream of texts ended by EOS, cut into blocks', () => {
    fc.assert(
      fc.property(texts, blockLength, (examples, length) => {
        const all = examples.map((example) => ({ ...example, labels: example.ids }));
        const stream = all.flatMap(({ ids }) => [...Array.from(ids), EOS]);
        const blocks = packConcat(all, { length, eosTokenId: EOS });
        for (const block of blocks) {
          checkShape(block, length);
          assert.deepEqual([...block.positions], [...block.ids.keys()]);
          assert.ok(block.segments.every((segment) => segment === 0));
        }
        // A last block of one token has no target and is left out.
        const kept = stream.length % length === 1 ? stream.slice(0, -1) : stream;
        assert.deepEqual(tokensOf(blocks), kept);
        assert.deepEqual(
          blocks.slice(0, -1).every((block) => block.ids.length === length),
          true,
        );
        const dropped = packConcat(all, { length, eosTokenId: EOS, dropLast: true });
        assert.deepEqual(tokensOf(dropped), stream.slice(0, stream.length - (stream.length % length)));
      }),
    );
  });

  test('names the rows of a block, and adds no second EOS', () => {
    const ended: Example = { ids: [7, 8, EOS], labels: [7, 8, EOS], row: 4 };
    const blocks = packConcat([ended, text(9, 5)], { length: 4, eosTokenId: EOS });
    assert.deepEqual(tokensOf(blocks), [7, 8, EOS, 10000, 10001, 10002, 10003, 10004]);
    assert.deepEqual(
      blocks.map((block) => block.rows),
      [[4, 9], [9]],
    );
  });

  test('trains on EOS where the answer before it is trained on, and leaves out blocks without targets', () => {
    const [first, ...rest] = packConcat([text(0, 10, 9)], { length: 4, eosTokenId: EOS });
    assert.deepEqual([...first!.labels], [-100, 1009, EOS]);
    assert.equal(rest.length, 0);
  });
});

describe('a text without targets', () => {
  const isError = (pattern: RegExp) => (error: unknown) =>
    error instanceof UserError && pattern.test(error.message);
  const options = { length: 8, eosTokenId: EOS, describeRow: (row: number) => `row ${row} "Dear all"` };

  test('is refused with the row', () => {
    const masked = { ...text(3, 5), labels: [-100, -100, -100, -100, -100] };
    for (const pack of [packConcat, packIsolated, unpacked]) {
      assert.throws(
        () => pack([text(0, 5), masked], options),
        isError(/row 3 "Dear all": none of its 5 tokens/),
      );
    }
  });

  test('is refused when the cut takes its answer', () => {
    for (const pack of [packIsolated, unpacked]) {
      assert.throws(() => pack([text(1, 12, 8)], options), isError(/row 1 .* 12 tokens are cut at 8/));
      assert.equal(pack([text(1, 12, 7)], options).length, 1);
    }
  });

  test('is refused when only its first token is trained on, which nothing predicts', () => {
    const first = { ids: [5, 6], labels: [5, -100], row: 0 };
    assert.throws(() => unpacked([first], options), UserError);
  });
});

describe('a batch', () => {
  test('is the blocks one behind the other, its targets shifted within segments', () => {
    const [packed] = packIsolated([text(0, 3, 1), text(1, 2)], { length: 8 });
    const [single] = unpacked([text(2, 4, 2)], { length: 8 });
    const batch = flatten([packed!, single!]);
    assert.deepEqual([...batch.ids], [1000, 1001, 1002, 2000, 2001, 3000, 3001, 3002, 3003]);
    assert.deepEqual([...batch.targets], [1001, 1002, -100, 2001, -100, -100, 3002, 3003, -100]);
    assert.deepEqual([...batch.segments], [0, 0, 0, 1, 1, 2, 2, 2, 2]);
    assert.deepEqual([...batch.positions], [0, 1, 2, 0, 1, 0, 1, 2, 3]);
    assert.deepEqual([...batch.lengths], [3, 3, 3, 2, 2, 4, 4, 4, 4]);
    assert.equal(batch.trainedTokens, 5);
  });
});

test('a token’s source goes with it, however texts are packed', () => {
  const withSource = texts.map((all) => all.map((one) => ({ ...one, source: one.row % 3 })));
  fc.assert(
    fc.property(withSource, blockLength, (all, length) => {
      const examples = all.filter(({ labels }) =>
        Array.from(labels)
          .slice(1, length)
          .some((l) => l >= 0),
      );
      const ways = [unpacked, packIsolated, (of: Example[]) => packConcat(of, { length, eosTokenId: EOS })];
      for (const pack of ways)
        for (const block of pack(examples, { length })) {
          checkShape(block, length);
          for (const [t, id] of block.ids.entries())
            if (id !== EOS) assert.equal(block.sources![t], (Math.floor(id / 1000) - 1) % 3);
          const targets = flatten([block]);
          assert.equal(targets.sources!.length, targets.trainedTokens);
        }
      for (const pack of ways)
        for (const block of pack(
          examples.map((one) => ({ ...one, source: undefined })),
          { length },
        ))
          assert.equal('sources' in block, false);
    }),
  );
});
