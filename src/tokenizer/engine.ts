/**
 * The tokenizer library behind a type of our own: its declarations import one another without file endings, which strict ESM
 * resolution does not find, so that TypeScript sees none of them.
 */
import * as library from '@huggingface/tokenizers';

/** What Westwind uses of the library's Tokenizer. */
export interface Engine {
  encode(text: string, options?: { add_special_tokens?: boolean }): { ids: (number | undefined)[] };
  /** `ids` must not be empty. */
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** Made from the contents of tokenizer.json and options as in tokenizer_config.json; throws what it likes on bad input. */
export const createEngine = (json: object, config: object): Engine => new EngineClass(json, config);

const EngineClass = (library as unknown as { Tokenizer: new (json: object, config: object) => Engine })
  .Tokenizer;
