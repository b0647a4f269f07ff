/** What a row of logits says: its loss, its largest, a token drawn from it. */

import type { Kernels } from '../kernels.js';
import { aligned, byActivation, rowBlock } from './arguments.js';
import { address, type CudaDevice } from './device.js';

export function bindLogits(device: CudaDevice): Pick<Kernels, 'crossEntropy' | 'argmax' | 'sample'> {
  const crossEntropy = byActivation(device, 'loss', 'ww_cross_entropy', 'ppppiffi');
  const argmax = device.kernel('loss', 'ww_argmax', 'ppii');
  const sample = device.kernel('sample', 'ww_sample', 'ppppidid');

  return {
    crossEntropy({ logits, targets, losses, rows, vocab, smoothing = 0, gradient }) {
      const from = address(logits);
      const to = gradient ? address(gradient.to) : 0;
      const vector = vocab % 4 === 0 ? aligned(from, to) : 0;
      crossEntropy(gradient?.to.dtype ?? 'f32').launch(
        [rows, 1, 1],
        rowBlock(vocab / 4, 1024),
        0,
        from,
        address(targets),
        address(losses),
        to,
        vocab,
        gradient?.scale ?? 0,
        smoothing,
        vector,
      );
    },
    argmax({ x, out, rows, cols }) {
      const from = address(x);
      const vector = cols % 4 === 0 ? aligned(from) : 0;
      const to = address(out);
      argmax.launch([rows, 1, 1], rowBlock(cols / 4, 1024), 0, from, to, cols, vector);
    },
    sample({ logits, draws, out, rows, vocab, temperature, topK, topP }) {
      const at = [address(logits), address(draws), address(out)];
      device.withScratch(rows * vocab * 4, (masses) =>
        sample.launch([rows, 1, 1], 1024, 0, ...at, masses, vocab, temperature, topK, topP),
      );
    },
  };
}
