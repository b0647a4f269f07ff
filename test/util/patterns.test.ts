/** Expressions from outside: the same answers, and an end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UserError } from '../../src/util/errors.js';
import { boundedTest } from '../../src/util/patterns.js';

describe('boundedTest', () => {
  it('answers as test does', () => {
    for (const pattern of [/^a+$/, /b/i, /^(?:model\.layers\.\d+\.q_proj)$/u])
      for (const text of ['', 'aaa', 'B', 'model.layers.12.q_proj', 'x'])
        assert.equal(boundedTest(pattern, text), pattern.test(text));
  });

  it('ends what runs without end, by name', () => {
    for (const source of ['^(a+)+$', '^(a|a)*$', '^(.*a){20}$', '^(?:a*)*b$'])
      assert.throws(
        () => boundedTest(new RegExp(source), `${'a'.repeat(60)}!`, 50),
        (error) => {
          assert.ok(error instanceof UserError);
          assert.ok(error.message.includes(source));
          return true;
        },
      );
    assert.equal(boundedTest(/a/, 'a'), true);
  });
});
