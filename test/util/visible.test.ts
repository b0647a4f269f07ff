import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../../src/util/errors.js';
import { nearest } from '../../src/util/nearest.js';
import { columnsOf, oneLine, visibleJson, visibleLines } from '../../src/util/visible.js';

/** What no terminal should get: by the characters' own properties, not by a list. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '\u001b[2J',
        '\u009b31m',
        '\u202e',
        '\u2066',
        '\r',
        '\n',
        '\t',
        '\u0000',
        '\u007f',
        '\ud800',
        'a',
        'é',
      ),
    )
    .map((parts) => parts.join('')),
);

describe('texts from elsewhere', () => {
  test('have no controls in one line, and what is shown stays as it is when it is shown again', () => {
    fc.assert(
      fc.property(text, (given) => {
        const shown = oneLine(given);
        assert.doesNotMatch(shown, CONTROL);
        assert.equal(oneLine(shown), shown);
        assert.doesNotMatch(visibleLines(given).replace(/[\n\t]/g, ''), CONTROL);
        const { message } = new UserError(`${given}: ${given}`);
        assert.doesNotMatch(message, CONTROL);
        if (!CONTROL.test(given) && !/[\u{e0000}-\u{e007f}\ufffe\uffff]/u.test(given))
          assert.equal(shown, given);
      }),
    );
  });

  test('are the same values in JSON', () => {
    fc.assert(
      fc.property(fc.record({ a: text, b: fc.array(text), [`\u009b`]: text }), (value) => {
        for (const indent of [undefined, 2]) {
          const json = visibleJson(value, indent);
          assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)));
          assert.doesNotMatch(json.replaceAll('\n', ''), CONTROL);
        }
      }),
    );
  });

  test('an error of several faults has a line for each', () => {
    assert.equal(new UserError(['a\nb', 'c']).message, 'a\\nb\nc');
  });

  test('take two columns for a wide letter and none for a mark', () => {
    assert.equal(columnsOf('漢字'), 4);
    assert.equal(columnsOf('e\u0301a'), 2);
    assert.equal(columnsOf('plain'), 5);
  });
});

describe('a name that may be a slip', () => {
  test('of one that is near is named, and of none that is not', () => {
    const names = ['train', 'test', 'lora', 'seed', 'text', 'label'];
    for (const [slip, meant] of Object.entries({
      tset: 'test',
      lable: 'label',
      Train: 'train',
      sead: 'seed',
    }))
      assert.equal(nearest(slip, names), meant);
    for (const other of ['foo', 'x', 'cat', 'tan', 'body', 'department', ''])
      assert.equal(nearest(other, names), undefined);
    assert.equal(nearest('a', ['b']), undefined);
  });
});
