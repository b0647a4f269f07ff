import { bringsTokenizer } from '../adapters/file.js';
import { Tokenizer } from '../tokenizer/index.js';

/**
 * The tokenizer of a model in `folder` with an adapter: the adapter's own where tokens were added, else the model's with the chat template that
 * the adapter was trained by. Throws UserError as `Tokenizer.load` does.
 */
export function tokenizerOf(folder: string, adapter: string | undefined): Tokenizer {
  const tokenizer = Tokenizer.load(folder, { templateOf: adapter });
  // An encoder's start token stands in the base's folder alone.
  const isAdapters =
    adapter !== undefined && tokenizer.decoderStartId === undefined && bringsTokenizer(adapter);
  return isAdapters ? Tokenizer.load(adapter) : tokenizer;
}
