import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKindSwitch, isKindTensor, kindOf, kindOfSwitches } from '../../src/adapters/kinds/index.js';

test('fields that say no kind leave it at LoRA, whatever they are called', () => {
  const fields = { use_rslora: true, constructor: true, use_other: true };
  assert.equal(kindOfSwitches(new Map<string, unknown>(Object.entries(fields))), undefined);
  for (const field of Object.keys(fields))
    for (const value of [true, undefined]) assert.ok(!isKindSwitch(field, value));
});

test("a kind's tensors are told from tables, however PEFT spells them", () => {
  const module = 'base_model.model.model.layers.0.self_attn.q_proj';
  for (const [tensor, { raw }] of Object.entries(kindOf().tensors))
    for (const ending of [tensor, raw]) assert.ok(isKindTensor(`${module}.${ending}`));
  for (const name of ['lm_head.weight', 'lm_head.base_layer.weight', 'lm_head.modules_to_save.weight'])
    assert.ok(!isKindTensor(`base_model.model.${name}`));
});
