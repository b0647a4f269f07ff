/** The smoothed loss of logits and its gradient, as transformers' LabelSmoother and torch have them. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createBackend } from '../../src/backends/select.js';
import { Tensor } from '../../src/tensor/tensor.js';
import { BACKENDS } from '../support/backends.js';

interface Case {
  readonly epsilon: number;
  readonly logits: readonly (readonly number[])[];
  readonly labels: readonly number[];
  readonly loss: number;
  readonly gradient: readonly (readonly number[])[];
}

const golden = new URL('../golden/steering/label-smoothing.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(golden, 'utf8')) as { cases: Case[] };

for (const name of ['reference', ...BACKENDS])
  test(`${name}: a smoothed loss and its gradient are those of transformers`, async () => {
    const { backend } = await createBackend(name);
    assert.equal(cases.length, 3);
    for (const { epsilon: smoothing, logits: given, labels, loss, gradient } of cases) {
      const [rows, vocab] = [given.length, given[0]!.length];
      const logits = Tensor.from(backend, Float32Array.from(given.flat()), [rows, vocab]);
      const targets = Tensor.from(backend, Int32Array.from(labels), [rows]);
      const losses = Tensor.empty(backend, [rows]);
      const dLogits = Tensor.empty(backend, [rows, vocab]);
      const count = labels.filter((label) => label >= 0).length;
      backend.kernels.crossEntropy({
        ...{ logits, targets, losses, rows, vocab, smoothing },
        gradient: { to: dLogits, scale: 1 / count },
      });
      const sum = (await losses.toFloat32()).reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(sum / count - loss) < 1e-6 * Math.abs(loss), `loss ${sum / count}, wanted ${loss}`);
      for (const [i, value] of (await dLogits.toFloat32()).entries())
        assert.ok(Math.abs(value - gradient.flat()[i]!) < 1e-7, `gradient ${i}`);
      for (const t of [logits, targets, losses, dLogits]) t.release();
    }
  });
