/** Files that are not what their names say: what their first bytes tell, with the mend. */

export const ORIGINAL =
  "take the model's original repository, with .safetensors in float32, bfloat16 or float16";

const LFS = 'version https://git-lfs.github.com/spec/';
const FETCH =
  "a Git LFS pointer, not the file itself: run 'git lfs pull' in its folder, or give the model by its name on the hub";

/** How a file begins that is something else, as a sentence about it; undefined: nothing that is known. */
export function foreignBytes(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.subarray(0, LFS.length)).toString('latin1');
  if (text === LFS) return `it is ${FETCH}`;
  if (text.startsWith('GGUF')) return `it is a GGUF file (llama.cpp), which is not read: ${ORIGINAL}`;
  // A zip, or what torch wrote before; no length of a header begins so.
  if (text.startsWith('PK\x03\x04') || text.startsWith('\x80\x02\x8a\x0a'))
    return `it is a pickle (torch.save), which can run code and is not read: ${ORIGINAL}`;
  return undefined;
}
