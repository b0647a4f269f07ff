/**
 * Text to token ids and back, from the files of a Hugging Face folder: tokenizer.json decides the ids (through the Rust library),
 * tokenizer_config.json and special_tokens_map.json say which tokens begin, end and pad, and the chat template, where there is one,
 * lays out a conversation. config.json says whether an encoder reads the prompt.
 */
import { join } from 'node:path';
import { decoderStart } from '../models/config.js';
import { UserError, messageOf } from '../util/errors.js';
import { readJsonObject } from '../util/json.js';
import { CHATML, ChatRenderer, type ChatOptions, type Message, type RenderedChat } from './chat/index.js';
import { cleanedUp, cleansUp } from './clean-up.js';
import { EngineDeath, EngineHandle, type Encoded, type Texts } from './engine/index.js';
import {
  chatTemplateSource,
  readOptionalJson,
  settle,
  specialTokens,
  spellingOf,
  vocabulary,
  type Json,
  type Special,
  type SpecialTokens,
  type Spelling,
} from './files.js';
import { ChatTemplate } from './jinja/index.js';
import { Memo } from './memo.js';
import {
  known,
  numbersOf,
  pairsOf,
  sizeOf,
  slicesOf,
  textOf,
  type EncodedText,
  type Offsets,
} from './slices.js';
import { TextStream, type IdDecoder } from './stream.js';

/** One turn of a conversation. Templates may read more of it, such as `tool_calls`. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly [key: string]: unknown;
}

interface EncodeOptions {
  /** The tokens that the tokenizer puts around a text (BOS and the like); the default. */
  readonly addSpecialTokens?: boolean;
}

/** Ids of a conversation, and for each 1 where it is trained on; `fault`: why that cannot be told. */
export interface EncodedChat {
  readonly ids: number[];
  readonly trained: Uint8Array;
  readonly fault: string | undefined;
}

export interface DecodeOptions {
  /** Leaves them out; the default. */
  readonly skipSpecialTokens?: boolean;
}

/** A token that stands for a byte. */
const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;

/** Vocabularies are read whole, since a token is asked for by its id and by its text. */
interface Vocabulary {
  readonly tokens: Map<number, string>;
  readonly idOf: Map<string, number>;
}

/** A loaded tokenizer. Lone surrogates of a text count as U+FFFD. */
export class Tokenizer {
  /** One more than the largest id; a model may have rows for more. */
  readonly vocabSize: number;
  readonly #engine: EngineHandle;
  readonly #vocabulary: Vocabulary;
  readonly #cleanUp: boolean;
  readonly #spelling: Spelling;
  readonly #specialIds: ReadonlySet<number>;
  readonly #patterns: string;
  readonly #special: SpecialTokens;
  readonly #template: ChatTemplate | undefined;
  /** Of templates in the model's place, by their text. */
  readonly #renderers = new Map<string | undefined, ChatRenderer>();
  /** Of texts with and without special tokens, and of ids that were decoded leaving them out or not. */
  readonly #ids = { true: new Memo<Int32Array>(1 << 22), false: new Memo<Int32Array>(1 << 22) };
  readonly #texts = { true: new Memo<string>(1 << 20), false: new Memo<string>(1 << 20) };
  #told = false;
  readonly #together: Record<
    'true' | 'false',
    { readonly lists: (readonly number[])[]; texts?: Promise<string[]> }
  > = {
    true: { lists: [] },
    false: { lists: [] },
  };

  private constructor(
    readonly folder: string,
    /** Of a model with an encoder: what its decoder's text begins with. */
    readonly decoderStartId: number | undefined,
    parts: {
      engine: EngineHandle;
      vocabulary: Vocabulary;
      cleanUp: boolean;
      spelling: Spelling;
      specialIds: ReadonlySet<number>;
      patterns: string;
      special: SpecialTokens;
      template: ChatTemplate | undefined;
    },
  ) {
    this.#engine = parts.engine;
    this.#vocabulary = parts.vocabulary;
    this.vocabSize = [...parts.vocabulary.tokens.keys()].reduce((most, id) => Math.max(most, id + 1), 0);
    this.#cleanUp = parts.cleanUp;
    this.#spelling = parts.spelling;
    this.#specialIds = parts.specialIds;
    this.#patterns = parts.patterns;
    this.#special = parts.special;
    this.#template = parts.template;
  }

  /**
   * Loads the tokenizer of a model folder. `templateOf`: a folder, such as an adapter's, whose chat template comes in the place of the
   * model's where it has one. Throws UserError for a missing or malformed file.
   */
  static load(folder: string, { templateOf }: { readonly templateOf?: string | undefined } = {}): Tokenizer {
    const path = join(folder, 'tokenizer.json');
    const json = readJsonObject(path);
    const config = readOptionalJson(join(folder, 'tokenizer_config.json'));
    const map = readOptionalJson(join(folder, 'special_tokens_map.json'));
    const special = specialTokens(config, map, folder);
    let engine: EngineHandle;
    let words: Vocabulary;
    const specialIds = new Set<number>();
    try {
      const settled = settle(json, config, map, special);
      engine = EngineHandle.load(JSON.stringify(settled));
      words = vocabulary(settled);
      (settled['added_tokens'] as { content: string; special?: boolean }[]).forEach(
        ({ content, special: skipped }, i) => {
          const id = engine.added[i];
          if (id === undefined) return;
          words.tokens.set(id, content);
          if (skipped === true) specialIds.add(id);
          words.idOf.set(content, id);
        },
      );
    } catch (error) {
      throw new UserError(`${path} is damaged or of an unknown kind: ${messageOf(error).split('\n')[0]!}`);
    }
    return new Tokenizer(folder, decoderStart(readOptionalJson(join(folder, 'config.json'))), {
      engine,
      vocabulary: words,
      spelling: spellingOf(json['decoder']),
      specialIds,
      patterns: patternsOf(json['normalizer'], json['pre_tokenizer']),
      cleanUp: cleansUp(json['model'] as Json, config),
      special,
      template: (templateOf && chatTemplate(templateOf, {})) || chatTemplate(folder, config),
    });
  }

  /** Token ids of a text. Throws UserError where the tokenizer's patterns run without end on it. */
  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): number[] {
    // What is kept is a copy, for an engine's arrays are parts of larger ones.
    const memo = this.#ids[`${addSpecialTokens}`];
    let ids = memo.get(text);
    if (ids === undefined) {
      ids = this.#guarded(
        () => this.#engine.encode({ texts: [text], special: addSpecialTokens }),
        text.length,
      ).ids;
      memo.set(text, ids.slice());
    }
    return this.#checked(text, ids, addSpecialTokens);
  }

  /** The ids, and where the text of each stands. */
  encodeWithOffsets(
    text: string,
    { addSpecialTokens = true }: EncodeOptions = {},
  ): { ids: number[]; offsets: Offsets } {
    const { ids, offsets } = this.#guarded(
      () => this.#engine.encode({ texts: [text], special: addSpecialTokens, places: 'offsets' }),
      text.length,
    );
    return {
      ids: this.#checked(text, ids, addSpecialTokens),
      offsets: pairsOf(known(offsets)),
    };
  }

  /** The same ids of many texts, made on all processors while the caller does something else. */
  async encodeBatch(
    texts: readonly string[],
    { addSpecialTokens = true }: EncodeOptions = {},
  ): Promise<number[][]> {
    const memo = this.#ids[`${addSpecialTokens}`];
    const all: number[][] = [];
    const missing = new Map<string, number[]>();
    for (const [i, text] of texts.entries()) {
      const ids = memo.get(text);
      if (ids) all[i] = this.#checked(text, ids, addSpecialTokens);
      else if (missing.has(text)) missing.get(text)!.push(i);
      else missing.set(text, [i]);
    }
    const work = { texts: [...missing.keys()], special: addSpecialTokens };
    for await (const { text, ids } of this.#encodings(work)) {
      memo.set(text, ids.slice());
      for (const i of missing.get(text)!) all[i] = this.#checked(text, ids, addSpecialTokens);
    }
    return all;
  }

  /** As `encodeWithOffsets`, of many texts. */
  async encodeBatchWithOffsets(
    texts: readonly string[],
    { addSpecialTokens = true }: EncodeOptions = {},
  ): Promise<{ ids: number[]; offsets: Offsets }[]> {
    const all: { ids: number[]; offsets: Offsets }[] = [];
    const work = { texts, special: addSpecialTokens, places: 'offsets' } as const;
    for await (const { text, ids, offsets } of this.#encodings(work))
      all.push({
        ids: this.#checked(text, ids, addSpecialTokens),
        offsets: pairsOf(known(offsets)),
      });
    return all;
  }

  /** The ids of a laid out conversation, and which of them stand for its spans (see chat/mask.ts). */
  encodeChat({ text, spans }: RenderedChat): EncodedChat {
    const work = { texts: [text], special: false, places: [spans] };
    const { ids, trained, faults } = this.#guarded(() => this.#engine.encode(work), text.length);
    return { ids: numbersOf(ids), trained: known(trained), fault: faults?.[0] };
  }

  /** The same of many. */
  async encodeChats(chats: readonly RenderedChat[]): Promise<EncodedChat[]> {
    const all: EncodedChat[] = [];
    const [texts, places] = [chats.map(({ text }) => text), chats.map(({ spans }) => spans)];
    for await (const { ids, trained, fault } of this.#encodings({ texts, special: false, places }))
      all.push({ ids: numbersOf(ids), trained: known(trained), fault });
    return all;
  }

  /** The text of token ids, without special tokens unless told otherwise. Ids beyond the vocabulary give nothing. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    return this.#decodeNow([ids], options)[0]!;
  }

  /** The same texts of many lists of ids. */
  async decodeBatch(
    all: readonly (readonly number[])[],
    { skipSpecialTokens = true }: DecodeOptions = {},
  ): Promise<string[]> {
    const texts: string[] = [];
    for (const part of slicesOf(all.map((ids) => this.#known(ids)))) {
      try {
        for (const text of await this.#engine.decodeLater(part, skipSpecialTokens))
          texts.push(this.#cleaned(text));
      } catch (error) {
        throw this.#fault(error, sizeOf(part));
      }
    }
    return texts;
  }

  /**
   * For an answer that grows token by token; see TextStream. Where bytes that are no text become U+FFFD all together, as with Llama 2, a
   * byte waits for the next token, unless the ids are known to spell a text.
   */
  stream({ isText = false, ...options }: DecodeOptions & { isText?: boolean } = {}): TextStream {
    const isOpen = (id: number): boolean =>
      !isText && this.#spelling === 'byte_fallback' && BYTE.test(this.idToToken(id) ?? '');
    const { skipSpecialTokens = true } = options;
    const isNothing = (id: number): boolean =>
      this.idToToken(id) === undefined || (skipSpecialTokens && this.#specialIds.has(id));
    const decoder: IdDecoder = {
      now: (all) => this.#decodeNow(all, options),
      later: (all) => this.#decodeTogether(all, options),
    };
    return new TextStream(decoder, isOpen, isNothing);
  }

  /** As `decodeBatch`, in one order with what others ask for in the same go: many answers grow at once. */
  #decodeTogether(
    all: readonly (readonly number[])[],
    { skipSpecialTokens = true }: DecodeOptions,
  ): Promise<string[]> {
    const waiting = this.#together[`${skipSpecialTokens}`];
    const first = waiting.lists.length;
    waiting.lists.push(...all);
    waiting.texts ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
      const { lists } = waiting;
      this.#together[`${skipSpecialTokens}`] = { lists: [] };
      return this.decodeBatch(lists, { skipSpecialTokens });
    });
    return waiting.texts.then((texts) => texts.slice(first, first + all.length));
  }

  tokenToId(token: string): number | undefined {
    return this.#vocabulary.idOf.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#vocabulary.tokens.get(id);
  }

  /** How its tokens spell bytes. */
  get spelling(): Spelling {
    return this.#spelling;
  }

  /** Whether a token is no text, but says something of it. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
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

  /** The text of the model's chat template, where it has one. */
  get chatTemplate(): string | undefined {
    return this.#template?.source;
  }

  get hasChatTemplate(): boolean {
    return this.#template !== undefined;
  }

  /**
   * A conversation laid out as the model was trained on it; encode the result without adding special tokens, it has its own. `tools` are
   * JSON schemas of functions, for templates that offer them. Throws UserError where the model has no template, its template refuses the
   * messages, has a fault, or does not come to an end.
   */
  applyChatTemplate(
    messages: readonly Message[],
    { addGenerationPrompt = false, tools }: { addGenerationPrompt?: boolean; tools?: readonly object[] } = {},
  ): string {
    if (this.#template === undefined) {
      throw new UserError(`${this.folder} has no chat template (chat_template.jinja); use a plain prompt`);
    }
    return this.#template.render({
      ...this.#special,
      messages,
      tools: tools ?? null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    });
  }

  /**
   * A conversation laid out as the model was trained on it, with the spans that the assistant wrote (see chat/derived.ts).
   * `template`: the text of one in the place of the model's. A model that has none gets ChatML; `hasChatTemplate` tells. Throws UserError
   * where the template refuses the messages, or a turn of the assistant's cannot be told apart.
   */
  renderChat(
    messages: readonly Message[],
    { template, ...options }: ChatOptions & { readonly template?: string | undefined } = {},
  ): RenderedChat {
    let renderer = this.#renderers.get(template);
    if (!renderer) {
      const own = template === undefined ? this.#template : new ChatTemplate(template, 'chat_template');
      renderer = new ChatRenderer(own ?? new ChatTemplate(CHATML, 'ChatML'), this.#special);
      this.#renderers.set(template, renderer);
    }
    return renderer.render(messages, options);
  }

  /** In order, and one slice is made while the one before is looked at. */
  async *#encodings({ texts, special, places }: Texts): AsyncGenerator<EncodedText> {
    const slices = slicesOf(texts);
    let begun = 0;
    const ask = (slice: string[] | undefined): Promise<Encoded> | undefined => {
      if (!slice) return undefined;
      const own = typeof places === 'object' ? places.slice(begun, begun + slice.length) : places;
      begun += slice.length;
      return this.#engine.encodeLater({ texts: slice, special, places: own }).catch((error: unknown) => {
        throw this.#fault(error, sizeOf(slice));
      });
    };
    let next = ask(slices[0]);
    for (const [i, slice] of slices.entries()) {
      const encoded = (await next)!;
      next = ask(slices[i + 1]);
      // Whoever looks at this slice may stop before the next one fails.
      next?.catch(() => undefined);
      for (const [j, text] of slice.entries()) yield { text, ...textOf(encoded, j) };
    }
  }

  #decodeNow(all: readonly (readonly number[])[], { skipSpecialTokens = true }: DecodeOptions): string[] {
    const memo = this.#texts[`${skipSpecialTokens}`];
    const known = all.map((ids) => this.#known(ids));
    const keys = known.map((ids) => ids.join());
    const texts = keys.map((key) => (key === '' ? '' : memo.get(key)));
    const missing = known.filter((_, i) => texts[i] === undefined);
    if (missing.length === 0) return texts as string[];
    const decoded = this.#guarded(() => this.#engine.decode(missing, skipSpecialTokens), sizeOf(missing));
    let next = 0;
    return texts.map((there, i) => {
      if (there !== undefined) return there;
      const text = this.#cleaned(decoded[next++]!);
      memo.set(keys[i]!, text);
      return text;
    });
  }

  #known(ids: readonly number[]): number[] {
    return ids.filter((id) => this.#vocabulary.tokens.has(id));
  }

  #cleaned(text: string): string {
    return this.#cleanUp ? cleanedUp(text) : text;
  }

  #specialId(name: Special): number | undefined {
    const token = this.#special[name];
    return token === undefined ? undefined : this.tokenToId(token);
  }

  #guarded<R>(work: () => R, size: number): R {
    try {
      return work();
    } catch (error) {
      throw this.#fault(error, size);
    }
  }

  #fault(error: unknown, size: number): unknown {
    const message = messageOf(error).split('\n')[0]!;
    const path = join(this.folder, 'tokenizer.json');
    if (error instanceof EngineDeath)
      return new UserError(
        `${path}: the tokenizer gives up on ${size} characters: ${message}${this.#patterns && `; its patterns: ${this.#patterns}`}`,
      );
    return new UserError(`${path}: ${message}`);
  }

  /** Tells once of a beginning that stands there twice: a chat template's text, for one, has its own. */
  #checked(text: string, ids: Int32Array, special: boolean): number[] {
    const { bosId } = this;
    if (special && !this.#told && bosId !== undefined && ids[0] === bosId && ids[1] === bosId) {
      this.#told = text !== '';
      if (this.#told)
        process.emitWarning(
          `${this.folder}: a text that begins with ${this.#special.bos_token!} got a second one; encode it without adding special tokens`,
        );
    }
    return numbersOf(ids);
  }
}

/** The regular expressions of parts of a tokenizer, for a message. */
function patternsOf(...parts: readonly unknown[]): string {
  const found: string[] = [];
  JSON.stringify(parts, (key, value: unknown) => {
    if (key === 'Regex' && typeof value === 'string') found.push(`'${value.slice(0, 200)}'`);
    return value;
  });
  return found.join(', ');
}

/** Throws UserError for one that cannot be parsed. */
function chatTemplate(folder: string, config: Json): ChatTemplate | undefined {
  const found = chatTemplateSource(folder, config);
  return found && new ChatTemplate(found.source, found.path);
}
