/**
 * Text to token ids and back, from the files of a Hugging Face folder: tokenizer.json decides the ids (through
 * @huggingface/tokenizers), tokenizer_config.json and special_tokens_map.json say which tokens begin, end and pad, and the chat
 * template, where there is one, lays out a conversation (through @huggingface/jinja). config.json says whether an encoder reads the prompt.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { UserError, messageOf } from '../util/errors.js';
import { readJsonObject, readText } from '../util/read.js';
import { inPieces, type Encode } from './pieces.js';
import { createEngine, type Engine } from './engine.js';

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

type Json = Record<string, unknown>;
/** The special tokens that stand around every text. */
type Around = readonly [before: readonly number[], after: readonly number[]];

/** Far above every real vocabulary. */
const MAX_ID = 1 << 24;

const SPECIAL = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;
type Special = (typeof SPECIAL)[number];

/** A loaded tokenizer. What it keeps between calls only saves time. */
export class Tokenizer {
  readonly #engine: Engine;
  readonly #encode: Encode;
  readonly #around: Around;
  readonly #cleanUp: boolean;
  readonly #special: Partial<Record<Special, string>>;
  readonly #template: Template | undefined;

  private constructor(
    readonly folder: string,
    /** One more than the largest id; a model may have rows for more. */
    readonly vocabSize: number,
    /** Of a model with an encoder: what its decoder's text begins with. */
    readonly decoderStartId: number | undefined,
    parts: {
      engine: Engine;
      encode: Encode;
      around: Around;
      cleanUp: boolean;
      special: Partial<Record<Special, string>>;
      template: Template | undefined;
    },
  ) {
    this.#engine = parts.engine;
    this.#encode = parts.encode;
    this.#around = parts.around;
    this.#cleanUp = parts.cleanUp;
    this.#special = parts.special;
    this.#template = parts.template;
  }

  /** Loads the tokenizer of a model folder. Throws UserError for a missing or malformed file. */
  static load(folder: string): Tokenizer {
    const path = join(folder, 'tokenizer.json');
    const json = readJsonObject(path);
    const config = readOptionalJson(join(folder, 'tokenizer_config.json'));
    const special = specialTokens(config, readOptionalJson(join(folder, 'special_tokens_map.json')), folder);
    let engine: Engine;
    let around: Around;
    let vocabSize: number;
    try {
      vocabSize = checkIds(json);
      // Of the config only what changes ids or skipping: transformers' fast tokenizers read no more of it either.
      engine = createEngine(json, {
        additional_special_tokens: Object.values(special),
        ...(special.eos_token !== undefined && { eos_token: special.eos_token }),
      });
      around = specialsAround(engine);
    } catch (error) {
      throw new UserError(`${path} is damaged or of an unknown kind: ${messageOf(error).split('\n')[0]!}`);
    }
    return new Tokenizer(folder, vocabSize, decoderStart(folder), {
      engine,
      encode: inPieces((text) => known(engine.encode(text, { add_special_tokens: false }).ids), json),
      around,
      // Made for WordPiece. For BPE and Unigram it would eat spaces that are really there, and transformers 5 leaves it out,
      // whatever the config says.
      cleanUp:
        (json['model'] as Json)['type'] === 'WordPiece' && config['clean_up_tokenization_spaces'] === true,
      special,
      template: chatTemplate(folder, config),
    });
  }

  /** Token ids of a text, with the tokens that the tokenizer puts around a text (BOS and the like) unless told otherwise. */
  encode(text: string, { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {}): number[] {
    const ids = this.#encode(text);
    if (!addSpecialTokens) return ids;
    const [before, after] = this.#around;
    return [...before, ...ids, ...after];
  }

  /** The text of token ids, without special tokens unless told otherwise. Ids beyond the vocabulary give nothing. */
  decode(ids: readonly number[], { skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {}): string {
    const known = ids.filter((id) => this.#engine.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    return this.#engine.decode(known, {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: this.#cleanUp,
    });
  }

  /** For an answer that grows token by token; see TextStream. */
  stream(options: { skipSpecialTokens?: boolean } = {}): TextStream {
    return new TextStream((ids) => this.decode(ids, options));
  }

  tokenToId(token: string): number | undefined {
    return this.#engine.token_to_id(token);
  }

  idToToken(id: number): string | undefined {
    return this.#engine.id_to_token(id);
  }

  get bosId(): number | undefined {
    return this.#specialId('bos_token');
  }

  get eosId(): number | undefined {
    return this.#specialId('eos_token');
  }

  get padId(): number | undefined {
    return this.#specialId('pad_token');
  }

  get unkId(): number | undefined {
    return this.#specialId('unk_token');
  }

  get hasChatTemplate(): boolean {
    return this.#template !== undefined;
  }

  /**
   * A conversation laid out as the model was trained on it; encode the result without adding special tokens, it has its own.
   * Throws UserError where the model has no template or its template refuses the messages.
   */
  applyChatTemplate(
    messages: readonly ChatMessage[],
    { addGenerationPrompt = false }: { addGenerationPrompt?: boolean } = {},
  ): string {
    if (this.#template === undefined) {
      throw new UserError(`${this.folder} has no chat template (chat_template.jinja); use a plain prompt`);
    }
    try {
      return this.#template.render({
        ...this.#special,
        messages,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw new UserError(`${this.folder}: the chat template refuses these messages: ${messageOf(error)}`);
    }
  }

  #specialId(name: Special): number | undefined {
    const token = this.#special[name];
    return token === undefined ? undefined : this.#engine.token_to_id(token);
  }
}

/**
 * Text of a growing answer. A character may take several tokens: `push` returns only what the next token can no longer change, and
 * all that it returned, with `end`, is what decoding everything at once gives.
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  // The tokens whose text is out last, kept as context (a first token loses its leading space), and those not yet out.
  #ids: number[] = [];
  #emitted = 0;

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  push(id: number): string {
    this.#ids.push(id);
    const text = this.#decode(this.#ids);
    // A trailing U+FFFD is a character whose bytes have not all come.
    if (text.endsWith('\ufffd')) return '';
    const before = this.#decode(this.#ids.slice(0, this.#emitted));
    if (text.length <= before.length) return '';
    this.#ids = this.#ids.slice(this.#emitted);
    this.#emitted = this.#ids.length;
    return text.slice(before.length);
  }

  /** What was held back. */
  end(): string {
    const rest = this.#decode(this.#ids).slice(this.#decode(this.#ids.slice(0, this.#emitted)).length);
    this.#emitted = this.#ids.length;
    return rest;
  }
}

/** What a vocabulary without an unknown token cannot spell is left out, as the Rust library does it. */
function known(ids: readonly (number | undefined)[]): number[] {
  return ids.filter((id) => id !== undefined);
}

/** Throws Error for a post-processor that does more than put tokens around a text, which none of the known ones does. */
function specialsAround(engine: Engine): Around {
  const [bare, whole] = [false, true].map((add_special_tokens) =>
    known(engine.encode('a b', { add_special_tokens }).ids),
  ) as [number[], number[]];
  for (let at = 0; at + bare.length <= whole.length; at++)
    if (bare.every((id, i) => whole[at + i] === id))
      return [whole.slice(0, at), whole.slice(at + bare.length)];
  throw new Error('its post-processor changes the ids of the text itself');
}

/** config.json's `decoder_start_token_id` where it says `is_encoder_decoder`. */
function decoderStart(folder: string): number | undefined {
  const config = readOptionalJson(join(folder, 'config.json'));
  const id = config['decoder_start_token_id'] ?? 0;
  return config['is_encoder_decoder'] === true && Number.isInteger(id) ? (id as number) : undefined;
}

/** One more than the largest id. Throws Error on ids that are none: the library would make an array as long as the largest. */
function checkIds(json: Json): number {
  const vocab = isObject(json['model']) ? json['model']['vocab'] : undefined;
  const added = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
  let ids: unknown[] = [];
  if (Array.isArray(vocab)) ids = [...vocab.keys()];
  else if (isObject(vocab)) ids = Object.values(vocab);
  if (ids.length === 0) throw new Error('it has no vocabulary');
  let size = 0;
  for (const id of [...ids, ...added.map((token) => (isObject(token) ? token['id'] : undefined))]) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > MAX_ID) {
      throw new Error(`${JSON.stringify(id)} is no token id`);
    }
    size = Math.max(size, (id as number) + 1);
  }
  return size;
}

/** The special tokens' texts: the config's, else the map's; each a string or an object with `content`, or null for none. */
function specialTokens(config: Json, map: Json, folder: string): Partial<Record<Special, string>> {
  const tokens: Partial<Record<Special, string>> = {};
  for (const name of SPECIAL) {
    const value = config[name] ?? map[name] ?? undefined;
    const text = isObject(value) ? value['content'] : value;
    if (typeof text === 'string') tokens[name] = text;
    else if (value !== undefined) {
      throw new UserError(
        `${folder}: ${name} is neither a string nor an object with a content in tokenizer_config.json`,
      );
    }
  }
  return tokens;
}

/** chat_template.jinja, else the config's chat_template: a template, or a list of named ones of which 'default' counts. */
function chatTemplate(folder: string, config: Json): Template | undefined {
  const path = join(folder, 'chat_template.jinja');
  let source: unknown = config['chat_template'];
  if (existsSync(path)) source = readText(path);
  else if (Array.isArray(source)) {
    source = (source as unknown[]).filter(isObject).find((entry) => entry['name'] === 'default')?.[
      'template'
    ];
  }
  if (typeof source !== 'string') return undefined;
  try {
    return new Template(source);
  } catch (error) {
    throw new UserError(`${folder}: its chat template cannot be parsed: ${messageOf(error)}`);
  }
}

function readOptionalJson(path: string): Json {
  return existsSync(path) ? readJsonObject(path) : {};
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
