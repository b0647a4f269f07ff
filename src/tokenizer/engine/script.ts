/**
 * The engine for platforms that the Rust library has no binary for: @huggingface/tokenizers, for what it computes as the Rust library does.
 * That is BPE over a text as SentencePiece prepares it, as Llama 2 and Mistral have it; the rest is refused by name, because the package
 * splits, normalizes or decodes it otherwise (its \s and \w are JavaScript's, it knows no charsmaps, ...). Special tokens and decoding
 * are ours.
 */
import * as library from '@huggingface/tokenizers';
import { addedContents } from './native.js';
import type { Encoded, Engine } from './protocol.js';

/** Its declarations import one another without file endings, which strict ESM resolution does not find. */
interface ScriptTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}
const { Tokenizer } = library as unknown as {
  Tokenizer: new (json: object, config: object) => ScriptTokenizer;
};

type Json = Record<string, unknown>;

/** Throws Error for a tokenizer.json that the package would read otherwise than the Rust library. */
export function scriptEngine(text: string): Engine {
  const json = JSON.parse(text) as Json;
  guard(json);
  const tokenizer = new Tokenizer(json, {});
  const around = surrounding(json['post_processor'] as Json | null);
  const specials = new Set(
    ((json['added_tokens'] ?? []) as Json[]).flatMap(({ content, special }) => (special ? [content] : [])),
  );
  return {
    added: addedContents(text).map((content) => tokenizer.token_to_id(content)),
    encode: ({ texts, special }) => Promise.resolve(encode(tokenizer, texts, special ? around : [[], []])),
    decode: (all, skip) => {
      const texts = all.map((ids) => {
        const tokens = ids.map((id) => tokenizer.id_to_token(id)).filter((token) => token !== undefined);
        const own = skip ? tokens.filter((token) => !specials.has(token)) : tokens;
        return decode(own, json['decoder'] as Json | null);
      });
      return Promise.resolve(texts);
    },
  };
}

type Around = readonly [before: readonly number[], after: readonly number[]];

function encode(tokenizer: ScriptTokenizer, texts: readonly string[], [before, after]: Around): Encoded {
  const ids: number[] = [];
  const ends = texts.map((text) => {
    const own = tokenizer.encode(text.toWellFormed(), { add_special_tokens: false }).ids;
    ids.push(...before);
    // What a vocabulary without an unknown token cannot spell is left out, as the Rust library does it.
    for (const id of own) if (id !== undefined) ids.push(id);
    return ids.push(...after);
  });
  return { ids: Int32Array.from(ids), ends: Int32Array.from(ends) };
}

/** The ids that a TemplateProcessing puts around a text. */
function surrounding(processor: Json | null): Around {
  if (processor === null) return [[], []];
  const single = processor['single'] as { SpecialToken?: { id: string }; Sequence?: object }[];
  const specials = processor['special_tokens'] as Record<string, { ids: number[] }>;
  const at = single.findIndex((part) => part.Sequence);
  const idsOf = (parts: typeof single): number[] => parts.flatMap((p) => specials[p.SpecialToken!.id]!.ids);
  return [idsOf(single.slice(0, at)), idsOf(single.slice(at + 1))];
}

/** Throws Error with the name of what the package computes otherwise. */
function guard(json: Json): void {
  const refuse = (what: string): never => {
    throw new Error(
      `the tokenizers package has no binary for ${process.platform} ${process.arch}, and ${what} needs it`,
    );
  };
  const sequence = (part: unknown, list: string): Json[] => {
    if (part == null) return [];
    const it = part as Json;
    return it['type'] === 'Sequence' ? (it[list] as Json[]).flatMap((p) => sequence(p, list)) : [it];
  };
  const literal = (part: Json): boolean => typeof (part['pattern'] as Json)['String'] === 'string';
  const model = json['model'] as Json;
  if (model['type'] !== 'BPE') refuse(`a ${String(model['type'])} model`);
  for (const key of ['dropout', 'continuing_subword_prefix', 'end_of_word_suffix', 'ignore_merges'])
    if (model[key]) refuse(`BPE's ${key}`);
  if (!model['byte_fallback'] || !model['fuse_unk']) refuse('BPE without byte_fallback and fuse_unk');
  for (const part of sequence(json['normalizer'], 'normalizers'))
    if (!(part['type'] === 'Prepend' || (part['type'] === 'Replace' && literal(part))))
      refuse(`the normalizer ${String(part['type'])}`);
  for (const part of sequence(json['pre_tokenizer'], 'pretokenizers'))
    refuse(`the pre-tokenizer ${String(part['type'])}`);
  for (const part of sequence(json['decoder'], 'decoders'))
    if (!Object.hasOwn(DECODERS, String(part['type'])) || (part['type'] === 'Replace' && !literal(part)))
      refuse(`the decoder ${String(part['type'])}`);
  const processor = json['post_processor'] as Json | null;
  if (processor && processor['type'] !== 'TemplateProcessing')
    refuse(`the post-processor ${String(processor['type'])}`);
  for (const token of (json['added_tokens'] ?? []) as Json[])
    for (const key of ['single_word', 'lstrip', 'rstrip', 'normalized'])
      if (token[key]) refuse(`the added token ${JSON.stringify(token['content'])}, by its ${key},`);
}

/** As the Rust library's of these names. */
const DECODERS: Readonly<Record<string, (tokens: string[], part: Json) => string[]>> = {
  Fuse: (tokens) => [tokens.join('')],
  Replace: (tokens, { pattern, content }) =>
    tokens.map((token) => token.replaceAll((pattern as { String: string }).String, () => content as string)),
  Strip: (tokens, { content, start, stop }) =>
    tokens.map((token) => {
      const signs = Array.from(token);
      let [from, to] = [0, signs.length];
      while (from < (start as number) && from < to && signs[from] === content) from++;
      while (signs.length - to < (stop as number) && to > from && signs[to - 1] === content) to--;
      return signs.slice(from, to).join('');
    }),
  ByteFallback: (tokens) => {
    const out: string[] = [];
    let bytes: number[] = [];
    const flush = (): void => {
      try {
        if (bytes.length > 0) out.push(STRICT.decode(Uint8Array.from(bytes)));
      } catch {
        out.push(...bytes.map(() => '\ufffd'));
      }
      bytes = [];
    };
    for (const token of tokens) {
      const byte = /^<0x([0-9a-f]{2})>$/i.exec(token)?.[1];
      if (byte !== undefined) bytes.push(Number.parseInt(byte, 16));
      else {
        flush();
        out.push(token);
      }
    }
    flush();
    return out;
  },
};

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(tokens: string[], decoder: Json | null): string {
  if (decoder === null) return tokens.join(' ');
  const parts = decoder['type'] === 'Sequence' ? (decoder['decoders'] as Json[]) : [decoder];
  return parts.reduce((all, part) => DECODERS[String(part['type'])]!(all, part), tokens).join('');
}
