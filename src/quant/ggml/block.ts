/** What a block format is. */

/** A format whose rows are cut into blocks of so many elements, each of so many bytes. */
export interface BlockFormat {
  /** Writes the block of the values from `at` on to `to`, at the byte `place`. */
  quantize(x: Float32Array, at: number, to: Uint8Array, place: number): void;
  dequantize(from: Uint8Array, place: number, y: Float32Array, at: number): void;
}
