/**
 * A tokenizer as GGUF's keys `tokenizer.*`. llama.cpp has three kinds that matter here: 'gpt2', which merges bytes by rank behind a
 * pre-tokenizer that it knows by name; 'llama', SentencePiece's, which joins neighbours to the token of the best score; and 't5',
 * SentencePiece's other one, which takes the likeliest tokens of all. Fast tokenizers of the second kind hold merges in the place of
 * scores; they are given back.
 */
import { join } from 'node:path';
import type { GgufValue } from '../../files/index.js';
import {
  chatTemplateSource,
  readOptionalJson,
  settle,
  specialTokens,
  Tokenizer,
  vocabulary,
  type Json,
} from '../../tokenizer/index.js';
import { UserError } from '../../util/errors.js';
import { readJsonObject } from '../../util/json.js';
import { preTokenizer } from './pre-tokenizers.js';
import { KINDS, SPACE } from './token-kinds.js';

export interface GgufTokenizer {
  readonly keys: readonly (readonly [string, GgufValue])[];
  /** What llama.cpp may do otherwise, for people. */
  readonly notes: readonly string[];
}

/** What is read of the folder's files. */
interface Parts {
  readonly path: string;
  readonly json: Json;
  readonly model: Json;
  /** By id, added ones included; undefined where no token has the id. */
  readonly tokens: readonly (string | undefined)[];
  readonly idOf: ReadonlyMap<string, number>;
  readonly added: ReadonlyMap<number, { readonly special: boolean }>;
  readonly merges: readonly (readonly [string, string])[];
  readonly tokenizer: Tokenizer;
}

/**
 * @param rows of the embedding: a token each
 * @param templateOf a folder, such as an adapter's, whose chat template comes first where it has one
 * @throws UserError for a tokenizer that llama.cpp does not have
 */
export function ggufTokenizer(folder: string, rows: number, templateOf?: string): GgufTokenizer {
  const path = join(folder, 'tokenizer.json');
  const config = readOptionalJson(join(folder, 'tokenizer_config.json'));
  const parts = readParts(folder, path, config, rows);
  const kind = isSentencePiece(parts)
    ? sentencePiece
    : parts.model['type'] === 'Unigram'
      ? unigram
      : byteLevel;
  const { keys, notes } = kind(parts);
  const template =
    (templateOf === undefined ? undefined : chatTemplateSource(templateOf, {})) ??
    chatTemplateSource(folder, config);
  return {
    keys: [
      ...keys,
      ...specialKeys(parts, folder),
      ...(template ? [['tokenizer.chat_template', text(template.source)] as const] : []),
    ],
    notes,
  };
}

const text = (value: string): GgufValue => ({ type: 'string', value });

function readParts(folder: string, path: string, config: Json, rows: number): Parts {
  const tokenizer = Tokenizer.load(folder);
  const json = readJsonObject(path);
  const map = readOptionalJson(join(folder, 'special_tokens_map.json'));
  const settled = settle(json, config, map, specialTokens(config, map, folder));
  const { tokens: byId, idOf } = vocabulary(settled);
  const added = new Map<number, { special: boolean }>();
  for (const token of settled['added_tokens'] as { id: number; content: string; special?: boolean }[]) {
    byId.set(token.id, token.content);
    idOf.set(token.content, token.id);
    added.set(token.id, { special: token.special === true });
  }
  const model = json['model'] as Json;
  if (tokenizer.vocabSize > rows)
    throw new UserError(
      `${path} has tokens up to ${tokenizer.vocabSize - 1}, but the model's embedding has ${rows} rows: GGUF needs a row a token`,
    );
  return {
    ...{ path, json, model, idOf, added, tokenizer },
    tokens: Array.from({ length: rows }, (_, id) => byId.get(id)),
    merges: mergesOf(model),
  };
}

function mergesOf(model: Json): (readonly [string, string])[] {
  const merges = Array.isArray(model['merges']) ? (model['merges'] as (string | [string, string])[]) : [];
  return merges.map((pair) => {
    if (typeof pair !== 'string') return pair;
    const at = pair.indexOf(' ', 1);
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
}

function refuse({ path }: Parts, why: string): UserError {
  return new UserError(`${path}: ${why}: it is not exported to GGUF`);
}

/** All objects of a normalizer or a pre-tokenizer, those of sequences in their place. */
function steps(json: unknown, list: string): Json[] {
  if (typeof json !== 'object' || json === null) return [];
  const nested = (json as Json)[list];
  return Array.isArray(nested) ? nested.flatMap((one) => steps(one, list)) : [json as Json];
}

function isSentencePiece({ model }: Parts): boolean {
  return model['type'] === 'BPE' && model['byte_fallback'] === true;
}

function sentencePiece(parts: Parts): GgufTokenizer {
  const { tokens, idOf, added, model, merges } = parts;
  const scores = scoresOf(merges);
  const unknown = model['unk_token'];
  const kinds = tokens.map((token, id) => {
    if (token === undefined) return KINDS.unused;
    if (token === unknown) return KINDS.unknown;
    const own = added.get(id);
    if (own) return own.special || looksSpecial(token) ? KINDS.control : KINDS.userDefined;
    return /^<0x[0-9A-F]{2}>$/.test(token) ? KINDS.byte : KINDS.normal;
  });
  const least = -scores.size;
  return {
    keys: [
      ['tokenizer.ggml.model', text('llama')],
      ['tokenizer.ggml.pre', text('default')],
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: texts(tokens, kinds) }],
      [
        'tokenizer.ggml.scores',
        {
          type: 'array',
          of: 'float32',
          value: tokens.map((token, id) =>
            kinds[id] === KINDS.normal ? (scores.get(token!) ?? least) : kinds[id] === KINDS.byte ? 0 : -1000,
          ),
        },
      ],
      ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', value: kinds }],
      ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefixesSpace(parts) }],
    ],
    notes: [
      ...(joinsAlike(merges, idOf)
        ? []
        : [
            "llama.cpp joins neighbours that this tokenizer's merges do not: now and then it cuts a word into other tokens",
          ]),
      ...(hasMetaspace(parts) && prefixesSpace(parts)
        ? ['llama.cpp puts a space before a text that begins with one, too, and this tokenizer does not']
        : []),
    ],
  };
}

/** By the token that a merge makes: what merges earlier has the better score. */
function scoresOf(merges: Parts['merges']): Map<string, number> {
  const scores = new Map<string, number>();
  for (const [left, right] of merges) if (!scores.has(left + right)) scores.set(left + right, -scores.size);
  return scores;
}

/** Whether joining to the best token and merging by rank come to the same: every way to put a token together is a merge, all of a token at one place. */
function joinsAlike(merges: Parts['merges'], idOf: ReadonlyMap<string, number>): boolean {
  const ways = new Set(merges.map(([left, right]) => `${left} ${right}`));
  const made = new Set<string>();
  let last: string | undefined;
  for (const [left, right] of merges) {
    const token = left + right;
    if (token !== last && made.has(token)) return false;
    made.add((last = token));
  }
  for (const token of made) {
    const letters = Array.from(token);
    for (let i = 1; i < letters.length; i++) {
      const [left, right] = [letters.slice(0, i).join(''), letters.slice(i).join('')];
      if (idOf.has(left) && idOf.has(right) && !ways.has(`${left} ${right}`)) return false;
    }
  }
  return true;
}

function textSteps({ json }: Parts): Json[] {
  return [...steps(json['normalizer'], 'normalizers'), ...steps(json['pre_tokenizer'], 'pretokenizers')];
}

function hasMetaspace(parts: Parts): boolean {
  return textSteps(parts).some(({ type }) => type === 'Metaspace');
}

/** Whether a text is given a space before it. Throws UserError for steps that SentencePiece has not. */
function prefixesSpace(parts: Parts): boolean {
  let prefixed = false;
  for (const step of textSteps(parts)) {
    const pattern = (step['pattern'] as Json | undefined)?.['String'];
    switch (step['type']) {
      case 'Prepend':
        if (step['prepend'] !== SPACE)
          throw refuse(parts, 'its normalizer puts something other than a space');
        prefixed = true;
        break;
      case 'Metaspace':
        prefixed = step['prepend_scheme'] !== 'never' && step['add_prefix_space'] !== false;
        break;
      case 'Replace':
        if (pattern !== ' ' || step['content'] !== SPACE)
          throw refuse(parts, 'its normalizer replaces more than spaces');
        break;
      // No space is left to split by.
      case 'Split':
        if (pattern === ' ') break;
        throw refuse(parts, 'its pre-tokenizer splits a text, and llama.cpp does not');
      default:
        throw refuse(parts, `llama.cpp has nothing like its ${String(step['type'])}`);
    }
  }
  return prefixed;
}

/** The score of a row without a token. */
const NEVER = -10000;

function unigram(parts: Parts): GgufTokenizer {
  const { tokens, added, model } = parts;
  if (model['byte_fallback'] === true) throw refuse(parts, 'llama.cpp has no bytes in a Unigram tokenizer');
  const pieces = model['vocab'] as readonly (readonly [string, number])[];
  const kinds = tokens.map((token, id) => {
    if (token === undefined) return KINDS.unused;
    if (id === model['unk_id']) return KINDS.unknown;
    const own = added.get(id);
    if (!own) return KINDS.normal;
    return own.special || looksSpecial(token) ? KINDS.control : KINDS.userDefined;
  });
  const scores = tokens.map((token, id) => pieces[id]?.[1] ?? (token === undefined ? NEVER : 0));
  const { charsmap, prefixes, joins } = unigramSteps(parts);
  return {
    keys: [
      ['tokenizer.ggml.model', text('t5')],
      ['tokenizer.ggml.pre', text('default')],
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: texts(tokens, kinds) }],
      ['tokenizer.ggml.scores', { type: 'array', of: 'float32', value: scores }],
      ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', value: kinds }],
      ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefixes }],
      ['tokenizer.ggml.remove_extra_whitespaces', { type: 'bool', value: joins }],
      ...(charsmap
        ? [
            [
              'tokenizer.ggml.precompiled_charsmap',
              { type: 'array', of: 'uint8', value: [...Buffer.from(charsmap, 'base64')] },
            ] as const,
          ]
        : []),
    ],
    notes: [],
  };
}

/**
 * What is done to a text: the map of its characters, whether it is given a space before it, and whether several spaces are one. Throws
 * UserError for steps that SentencePiece has not.
 */
function unigramSteps(parts: Parts): { charsmap: string | undefined; prefixes: boolean; joins: boolean } {
  let charsmap: string | undefined;
  let [prefixes, joins] = [false, false];
  for (const step of textSteps(parts)) {
    const pattern = (step['pattern'] as Json | undefined)?.['Regex'];
    switch (step['type']) {
      case 'Precompiled':
        charsmap = step['precompiled_charsmap'] as string;
        break;
      case 'WhitespaceSplit':
        joins = true;
        break;
      // What is joined has no spaces at its ends.
      case 'Strip':
        break;
      case 'Replace':
        if (pattern !== ' {2,}') throw refuse(parts, 'its normalizer replaces more than spaces');
        joins = true;
        break;
      case 'Metaspace':
        prefixes = step['prepend_scheme'] !== 'never' && step['add_prefix_space'] !== false;
        break;
      default:
        throw refuse(parts, `llama.cpp has nothing like its ${String(step['type'])}`);
    }
  }
  return { charsmap, prefixes, joins };
}

function byteLevel(parts: Parts): GgufTokenizer {
  const { tokens, added, model, merges, tokenizer } = parts;
  const cuts = steps(parts.json['pre_tokenizer'], 'pretokenizers');
  if (model['type'] !== 'BPE' || !cuts.some(({ type }) => type === 'ByteLevel'))
    throw refuse(parts, `a tokenizer of the kind ${String(model['type'])} that llama.cpp does not have here`);
  const { hash, name } = preTokenizer((probe) => tokenizer.encode(probe));
  if (name === undefined)
    throw refuse(parts, `its pre-tokenizer, of hash ${hash}, is not known to llama.cpp`);
  const kinds = tokens.map((token, id) => {
    if (token === undefined) return KINDS.unused;
    const own = added.get(id);
    if (!own) return KINDS.normal;
    return own.special || looksSpecial(token) ? KINDS.control : KINDS.userDefined;
  });
  // A space parts the two.
  const written = (part: string): string => part.replaceAll(' ', '\u0120');
  return {
    keys: [
      ['tokenizer.ggml.model', text('gpt2')],
      ['tokenizer.ggml.pre', text(name)],
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: texts(tokens, kinds) }],
      ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', value: kinds }],
      [
        'tokenizer.ggml.merges',
        { type: 'array', of: 'string', value: merges.map((pair) => pair.map(written).join(' ')) },
      ],
    ],
    notes: [],
  };
}

/** Rows without a token get one that no text has; those of users stand as they are written. */
function texts(tokens: Parts['tokens'], kinds: readonly number[]): string[] {
  return tokens.map((token, id) => {
    if (token === undefined) return `[PAD${id}]`;
    return kinds[id] === KINDS.userDefined ? token.replaceAll(SPACE, ' ') : token;
  });
}

/** Added tokens that are special though their files do not say so, by the converter's rule. */
function looksSpecial(token: string): boolean {
  return /^(<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<\uff5c.*\uff5c>|<unused.*>)$/s.test(token);
}

/** Ids of special tokens, and which of them stand around a text. */
function specialKeys(parts: Parts, folder: string): [string, GgufValue][] {
  const { tokenizer } = parts;
  const config = readOptionalJson(join(folder, 'config.json'));
  const ends = readOptionalJson(join(folder, 'generation_config.json'))['eos_token_id'];
  const given = (name: string): number | undefined =>
    typeof config[name] === 'number' ? config[name] : undefined;
  const bos = tokenizer.bosId ?? given('bos_token_id');
  const eos = tokenizer.eosId ?? given('eos_token_id');
  // A chat's turn ends otherwise than a text.
  const turn = Array.isArray(ends) ? (ends as unknown[]).find((id) => id !== eos) : undefined;
  const { before, after } = around(parts);
  if (before.some((id) => id !== bos) || after.some((id) => id !== eos) || before.length + after.length > 2)
    throw refuse(parts, 'it puts other tokens around a text than its begin and its end');
  const ids: Readonly<Record<string, unknown>> = {
    bos_token_id: bos,
    eos_token_id: eos,
    unknown_token_id: tokenizer.unkId,
    padding_token_id: tokenizer.padId ?? given('pad_token_id'),
    eot_token_id: turn,
  };
  const uint = (value: number): GgufValue => ({ type: 'uint32', value });
  return [
    ...Object.entries(ids).flatMap(([key, id]): [string, GgufValue][] =>
      typeof id === 'number' && id < parts.tokens.length ? [[`tokenizer.ggml.${key}`, uint(id)]] : [],
    ),
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: before.length > 0 }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: after.length > 0 }],
  ];
}

/** What the tokenizer puts before and behind a text. */
function around(parts: Parts): { before: number[]; after: number[] } {
  const { tokenizer } = parts;
  const bare = tokenizer.encode('a', { addSpecialTokens: false });
  const whole = Array.from(tokenizer.encode('a'));
  const at = whole.findIndex((_, i) => bare.every((id, j) => whole[i + j] === id));
  if (at < 0) throw refuse(parts, 'what it puts around a text changes the text');
  return { before: whole.slice(0, at), after: whole.slice(at + bare.length) };
}
