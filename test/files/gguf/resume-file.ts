/** The file that test/files/gguf/resume.test.ts has written. */
import type { GgufTensor, GgufValue } from '../../../src/files/index.js';

export const KEYS = new Map<string, GgufValue>([
  ['general.architecture', { type: 'string', value: 'llama' }],
]);

/** Tensors of several sizes, none a multiple of the alignment. `asked` is called before each is made. */
export function tensorsOf(asked: (name: string) => Promise<void>, count = 12): GgufTensor[] {
  return Array.from({ length: count }, (_, i) => {
    const n = 1001 + 5000 * (i % 4);
    const data = Float32Array.from({ length: n }, (_, k) => Math.sin(k * (i + 1)));
    return {
      ...{ name: `blk.${i}.weight`, type: 'F32', shape: [n] },
      data: async () => {
        await asked(`blk.${i}.weight`);
        return new Uint8Array(data.buffer);
      },
    };
  });
}
