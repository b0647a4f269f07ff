/**
 * Tokenizers converted from SentencePiece merge a whole text as one piece: slow for long texts, and nothing is ever found in the
 * library's cache of pieces. Where no token of the vocabulary has a space mark behind another character, no merge reaches over the
 * beginning of a word, so that the words can be merged apart, with the same ids.
 */

type Json = Record<string, unknown>;

/** SentencePiece's mark for a space. */
const SPACE = '▁';
const ACROSS = /[^▁]▁/u;
/** A word with the spaces before it. Spaces at the end of a text are what is left over. */
const WORD = '▁*[^▁]+';

/** @returns the contents of a tokenizer.json that gives the same ids by words, where that is sure; else `json` itself */
export function byWords(json: Json): Json {
  const model = json['model'] as Json;
  const before = (json['pre_tokenizer'] ?? undefined) as Json | undefined;
  const whole = before === undefined || (before['type'] === 'Metaspace' && before['split'] === false);
  const vocab = model['vocab'] as Json;
  const plain = ['end_of_word_suffix', 'continuing_subword_prefix', 'ignore_merges'].every(
    (key) => !model[key],
  );
  if (model['type'] !== 'BPE' || !whole || !plain || !(SPACE in vocab)) return json;
  if (Object.keys(vocab).some((token) => ACROSS.test(token))) return json;
  const words = { type: 'Split', pattern: { Regex: WORD }, behavior: 'Isolated', invert: false };
  const pretokenizers = before === undefined ? [words] : [before, words];
  return { ...json, pre_tokenizer: { type: 'Sequence', pretokenizers } };
}
