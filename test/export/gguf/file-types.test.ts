/** Which tensor gets which type; test-shared/export holds the same to llama.cpp's own quantizer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tensorType, turnsOf, type FileType, type ModelFacts } from '../../../src/export/gguf/file-types.js';

const LLAMA: ModelFacts = { architecture: 'llama', layers: 32, heads: 32, kvHeads: 8, ownHead: true };

function of(type: FileType, module: string, layer: number | undefined, model = LLAMA, row = 4096): string {
  return tensorType(type, { module, layer, shape: [64, row] }, model);
}

/** Of 32 layers: the first four, every third behind them, the last four. */
const MORE = [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31];

test('values and half of the projections down of some layers have more bits', () => {
  for (const [type, base] of [
    ['Q4_K_M', 'Q4_K'],
    ['Q5_K_M', 'Q5_K'],
  ] as const)
    for (const module of ['attn_v', 'ffn_down'])
      assert.deepEqual(
        Array.from({ length: 32 }, (_, i) => i).filter((i) => of(type, module, i) === 'Q6_K'),
        MORE,
        `${type} ${module}, else ${base}`,
      );
  assert.equal(of('Q4_K_M', 'attn_v', 4), 'Q4_K');
  assert.equal(of('Q4_K_M', 'ffn_up', 0), 'Q4_K');
});

test('head and embedding', () => {
  const tied = { ...LLAMA, ownHead: false };
  const table: readonly (readonly [FileType, string, string, string])[] = [
    // type, head, embedding beside a head, embedding that is the head
    ['F16', 'F16', 'F16', 'F16'],
    ['Q8_0', 'Q8_0', 'Q8_0', 'Q8_0'],
    ['Q6_K', 'Q6_K', 'Q6_K', 'Q6_K'],
    ['Q5_K_M', 'Q6_K', 'Q5_K', 'Q6_K'],
    ['Q4_K_M', 'Q6_K', 'Q4_K', 'Q6_K'],
    ['Q4_0', 'Q6_K', 'Q4_0', 'Q6_K'],
  ];
  for (const [type, ...expected] of table)
    assert.deepEqual(
      [
        of(type, 'output', undefined),
        of(type, 'token_embd', undefined),
        of(type, 'token_embd', undefined, tied),
      ],
      expected,
      type,
    );
  assert.equal(of('Q4_K_M', 'output', undefined, { ...LLAMA, architecture: 'falcon' }), 'Q8_0');
});

test('rows that are no whole number of blocks get another type', () => {
  assert.deepEqual(
    (['Q4_K_M', 'Q5_K_M', 'Q6_K', 'Q8_0', 'Q4_0'] as const).map((type) => [
      of(type, 'ffn_up', 0, LLAMA, 96),
      of(type, 'ffn_up', 0, LLAMA, 100),
      of(type, 'output', undefined, LLAMA, 96),
    ]),
    [
      ['Q5_0', 'F16', 'Q8_0'],
      ['Q5_1', 'F16', 'Q8_0'],
      ['Q8_0', 'F16', 'Q8_0'],
      ['Q8_0', 'F16', 'Q8_0'],
      ['Q4_0', 'F16', 'Q8_0'],
    ],
  );
});

test('falcon, and models of 70B', () => {
  const falcon = { ...LLAMA, architecture: 'falcon' };
  assert.deepEqual(
    [0, 2, 4, 6].map((layer) => of('Q4_K_M', 'ffn_down', layer, falcon)),
    ['Q6_K', 'Q5_K', 'Q4_K', 'Q5_K'],
  );
  assert.deepEqual(
    [0, 4].map((layer) => of('Q4_K_M', 'attn_qkv', layer, falcon)),
    ['Q6_K', 'Q4_K'],
  );
  const large = { ...LLAMA, layers: 80, heads: 64 };
  assert.equal(of('Q4_K_M', 'attn_v', 10, large), 'Q5_K');
  assert.equal(of('Q4_K_M', 'attn_v', 10, { ...large, kvHeads: 64 }), 'Q4_K');
});

test('vectors stay in float32', () => {
  const bias = { module: 'attn_q', layer: 0, shape: [4096] };
  for (const type of ['F16', 'Q8_0', 'Q4_K_M'] as const) assert.equal(tensorType(type, bias, LLAMA), 'F32');
});

test('T5: tensors are counted in the order of their names, projections down as layers of the encoder', () => {
  const layers = Array.from({ length: 12 }, (_, layer) => layer);
  const tensors = layers.flatMap((layer) =>
    [
      ['enc.blk', 'attn_v'],
      ['dec.blk', 'attn_v'],
      ['dec.blk', 'cross_attn_v'],
      ['enc.blk', 'ffn_down'],
      ['dec.blk', 'ffn_down'],
      ['dec.blk', 'attn_rel_b'],
    ].map(([blocks, module]) => ({ name: `${blocks!}.${layer}.${module!}.weight`, module: module!, layer })),
  );
  const turns = turnsOf(tensors, { ...LLAMA, layers: 12 });
  const turn = (name: string): unknown => turns.get(`${name}.weight`);
  assert.deepEqual(turn('dec.blk.0.attn_v'), { layer: 0, layers: 36 });
  assert.deepEqual(turn('dec.blk.0.cross_attn_v'), { layer: 1, layers: 36 });
  assert.deepEqual(turn('dec.blk.10.attn_v'), { layer: 4, layers: 36 });
  assert.deepEqual(turn('enc.blk.0.attn_v'), { layer: 24, layers: 36 });
  assert.deepEqual(turn('dec.blk.2.ffn_down'), { layer: 4, layers: 12 });
  assert.deepEqual(turn('enc.blk.0.ffn_down'), { layer: 12, layers: 12 });
  assert.equal(turn('dec.blk.0.attn_rel_b'), undefined);
  // Of other models the layer is the turn.
  const plain = layers.map((layer) => ({ name: `blk.${layer}.attn_v.weight`, module: 'attn_v', layer }));
  assert.deepEqual(
    [...turnsOf(plain, { ...LLAMA, layers: 12 }).values()],
    layers.map((layer) => ({ layer, layers: 12 })),
  );
  assert.equal(tensorType('Q4_0', { module: 'attn_rel_b', layer: 0, shape: [32, 32] }, LLAMA), 'F32');
});
