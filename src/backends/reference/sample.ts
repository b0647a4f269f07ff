/** The draw of a token from logits: the contract's order and integers, by sorting. */

import type { Kernels } from '../kernels.js';
import { f32, i32 } from './memory.js';

const ONE = 2 ** 31;

export const sample: Kernels['sample'] = (args) => {
  const { rows, vocab, temperature, topK, topP } = args;
  const logits = f32(args.logits, rows * vocab).map((x) => (Number.isNaN(x) ? -Infinity : x));
  const draws = i32(args.draws, rows);
  const out = i32(args.out, rows);
  for (let r = 0; r < rows; r++) {
    const row = logits.subarray(r * vocab, (r + 1) * vocab);
    const order = Array.from(row.keys()).sort((a, b) => (row[a] === row[b] ? a - b : row[b]! - row[a]!));
    const largest = row[order[0]!]!;
    const candidates = topK > 0 ? order.slice(0, topK) : order;
    const masses = candidates.map((id) =>
      row[id] === largest ? ONE : Math.floor(ONE * Math.exp((row[id]! - largest) / temperature)),
    );
    const total = masses.reduce((sum, mass) => sum + mass, 0);
    let kept = 0;
    let mass = 0;
    while (kept < masses.length && (kept === 0 || mass < topP * total)) mass += masses[kept++]!;
    let left = Math.floor(((draws[r]! >>> 0) / 2 ** 32) * mass);
    let chosen = 0;
    while (left >= masses[chosen]!) left -= masses[chosen++]!;
    out[r] = candidates[chosen]!;
  }
};
