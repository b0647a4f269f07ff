/** What GGUF says of each token. */

/** `tokenizer.ggml.token_type`. */
export const KINDS = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** What SentencePiece has in the place of a space. */
export const SPACE = '\u2581';
