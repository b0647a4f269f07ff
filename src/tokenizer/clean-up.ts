/** The spaces before punctuation that some tokenizers take out of what they decode. */

import type { Json } from './files.js';

/**
 * Made for WordPiece. Elsewhere it would eat spaces that are really there: transformers 5 leaves it out, for BPE unless the config insists.
 */
export function cleansUp({ type }: Json, config: Json): boolean {
  return (
    config['clean_up_tokenization_spaces'] === true &&
    (type === 'WordPiece' ||
      (type === 'BPE' &&
        config['clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output'] === true))
  );
}

export function cleanedUp(text: string): string {
  const pairs = [' .', ' ?', ' !', ' ,', " ' ", " n't", " 'm", " 's", " 've", " 're"] as const;
  return pairs.reduce((all, pair) => all.replaceAll(pair, pair.trim()), text);
}
