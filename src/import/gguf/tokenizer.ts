/**
 * The tokenizer of a GGUF file (`tokenizer.*`) as the files of a model folder. SentencePiece's kind ('llama') has scores: a token of a better
 * score is merged earlier, so that merges follow from them; its other kind ('t5') has probabilities; the byte-level kind ('gpt2') has
 * merges, and a pre-tokenizer by its name.
 */

import { PRE_TOKENIZERS, type PreTokenizer } from '../../export/gguf/pre-tokenizer-steps.js';
import { KINDS, SPACE } from '../../export/gguf/token-kinds.js';
import type { GgufFile, GgufValue } from '../../files/index.js';
import { GgufKeys } from '../../models/gguf-facts.js';
import { CHAT_TEMPLATE, type Json } from '../../tokenizer/index.js';
import { mergesOf } from './merges.js';

interface TokenizerFiles {
  /** Names and contents. */
  readonly files: [string, string][];
  /** What config.json says of its tokens. */
  readonly ids: Json;
}

/**
 * @param rows of the embedding
 * @param context tokens that a text may have
 * @throws UserError for a tokenizer that is not read, or that does not fit the model
 */
export function ggufTokenizerFiles(file: GgufFile, rows: number, context: number): TokenizerFiles {
  const keys = new TokenizerKeys(file, rows);
  const kind = keys.text('model');
  const formOf = FORMS.get(kind ?? 'none');
  if (formOf === undefined)
    throw keys.fault(
      `a tokenizer of the kind '${kind ?? 'none'}', which is not read; ${[...FORMS.keys()].join(', ')} are`,
    );
  const form = formOf(keys);
  const special = specialIds(keys, form);
  const token = (id: number | undefined): string | null => (id === undefined ? null : keys.tokens[id]!);
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(keys),
    ...form.json,
    post_processor: around(keys, form, special),
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: token(special.bos),
    eos_token: token(special.eos),
    unk_token: token(special.unknown),
    pad_token: token(special.padding),
    clean_up_tokenization_spaces: false,
    model_max_length: context,
  };
  const { bos: bos_token_id, eos: eos_token_id, padding: pad_token_id, turn } = special;
  const ids = { bos_token_id, eos_token_id, pad_token_id };
  const ends = turn === undefined ? eos_token_id : [eos_token_id, turn].filter((id) => id !== undefined);
  const template = file.metadata.get('tokenizer.chat_template');
  const json = (value: object): string => `${JSON.stringify(value)}\n`;
  return {
    files: [
      ['tokenizer.json', json(tokenizer)],
      ['tokenizer_config.json', json(config)],
      ['generation_config.json', json({ ...ids, eos_token_id: ends })],
      ...(template?.type === 'string' ? [[CHAT_TEMPLATE, template.value] as [string, string]] : []),
    ],
    ids,
  };
}

/** The keys of a file's tokenizer, checked. */
class TokenizerKeys extends GgufKeys {
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];

  constructor(file: GgufFile, rows: number) {
    super(file, 'tokenizer.ggml');
    this.tokens = this.list('tokens', 'string') ?? [];
    this.kinds = this.list('token_type', 'int32') ?? this.tokens.map(() => KINDS.normal);
    const { tokens, kinds } = this;
    if (tokens.length === 0 || tokens.length > rows || kinds.length !== tokens.length)
      throw this.fault(
        `tokenizer.ggml.tokens has ${tokens.length}, token_type ${kinds.length}, and the embedding ${rows} rows`,
      );
    const seen = new Map<string, number>();
    for (const [id, token] of tokens.entries()) {
      const first = seen.get(token);
      if (first !== undefined)
        throw this.fault(`the tokens ${first} and ${id} are both ${JSON.stringify(token)}`);
      seen.set(token, id);
    }
  }

  list<T extends 'string' | 'int32' | 'float32' | 'uint8'>(
    name: string,
    of: T,
  ): Extract<GgufValue, { type: 'array'; of: T }>['value'] | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (value.type === 'array' && value.of === of) return value.value as never;
    throw this.fault(`tokenizer.ggml.${name} is no list of ${of}`);
  }

  /** Of a special token; one that no token has is none. */
  id(name: string): number | undefined {
    const value = this.value(`${name}_token_id`);
    return value?.type === 'uint32' && value.value < this.tokens.length ? value.value : undefined;
  }
}

/** Normalizer, pre-tokenizer, model and decoder of tokenizer.json, and what a file means that says nothing. */
interface Form {
  readonly json: Json;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly usual: Partial<SpecialIds>;
}

/** Rows without a token. */
function isRoom(keys: TokenizerKeys, id: number): boolean {
  return keys.kinds[id] === KINDS.unused && /^\[PAD\d+\]$/.test(keys.tokens[id]!);
}

function vocabulary(keys: TokenizerKeys): Record<string, number> {
  const entries = keys.tokens.map((token, id) => [token, id] as const);
  return Object.fromEntries(entries.filter(([, id]) => !isRoom(keys, id)));
}

function sentencePiece(keys: TokenizerKeys): Form {
  const { tokens, kinds } = keys;
  const scores = keys.list('scores', 'float32');
  if (scores?.length !== tokens.length)
    throw keys.fault('tokenizer.ggml.scores is missing, or not as long as the tokens');
  const prefixes = keys.flag('add_space_prefix') ?? true;
  const pieces = tokens.flatMap((token, id) =>
    kinds[id] === KINDS.normal ? [{ token, id, score: scores[id]! }] : [],
  );
  const unknown = kinds.indexOf(KINDS.unknown);
  const replace = (from: string, to: string): Json => ({
    type: 'Replace',
    pattern: { String: from },
    content: to,
  });
  const spaces = replace(' ', SPACE);
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 };
  return {
    json: {
      normalizer: prefixes
        ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, spaces] }
        : spaces,
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          replace(SPACE, ' '),
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          ...(prefixes ? [strip] : []),
        ],
      },
      model: {
        type: 'BPE',
        ...{ dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null },
        unk_token: unknown < 0 ? null : tokens[unknown],
        fuse_unk: true,
        byte_fallback: true,
        vocab: vocabulary(keys),
        merges: mergesOf(pieces),
      },
    },
    ...{ addsBos: true, addsEos: false },
    usual: { bos: 1, eos: 2, unknown: 0 },
  };
}

function unigram(keys: TokenizerKeys): Form {
  const { tokens, kinds } = keys;
  const scores = keys.list('scores', 'float32');
  if (scores?.length !== tokens.length)
    throw keys.fault('tokenizer.ggml.scores is missing, or not as long as the tokens');
  const charsmap = keys.list('precompiled_charsmap', 'uint8');
  const unknown = kinds.indexOf(KINDS.unknown);
  // A token's id is its place.
  const count = tokens.findLastIndex((_, id) => !isRoom(keys, id)) + 1;
  const prepend_scheme = (keys.flag('add_space_prefix') ?? true) ? 'always' : 'never';
  const spaces = { type: 'Metaspace', replacement: SPACE, prepend_scheme, split: true };
  const words = [{ type: 'WhitespaceSplit' }, spaces];
  return {
    json: {
      normalizer: charsmap && {
        type: 'Precompiled',
        precompiled_charsmap: Buffer.from(charsmap).toString('base64'),
      },
      pre_tokenizer:
        (keys.flag('remove_extra_whitespaces') ?? false)
          ? { type: 'Sequence', pretokenizers: words }
          : spaces,
      decoder: spaces,
      model: {
        type: 'Unigram',
        unk_id: unknown < 0 ? null : unknown,
        vocab: tokens.slice(0, count).map((token, id) => [token, scores[id]!]),
        byte_fallback: false,
      },
    },
    ...{ addsBos: false, addsEos: true },
    usual: { eos: 1, unknown: 2, padding: 0 },
  };
}

function byteLevel(keys: TokenizerKeys): Form {
  const name = keys.text('pre') ?? 'none';
  const known = new Map<string, PreTokenizer | undefined>(Object.entries(PRE_TOKENIZERS));
  const pre = known.get(name);
  if (!pre)
    throw keys.fault(
      `its pre-tokenizer '${name}' is not known here; ${[...known].flatMap(([one, form]) => (form ? [one] : [])).join(', ')} are`,
    );
  const tokens = new Set(keys.tokens);
  const merges = (keys.list('merges', 'string') ?? []).map((merge) => {
    const at = merge.indexOf(' ', 1);
    const [left, right] = [merge.slice(0, at), merge.slice(at + 1)];
    if (at < 0 || !tokens.has(left) || !tokens.has(right) || !tokens.has(left + right))
      throw keys.fault(`the merge ${JSON.stringify(merge)} is not of tokens`);
    return [left, right] as const;
  });
  const { cuts, cutsItself = false, normalizer = null, ignoreMerges = false, addsBos = false } = pre;
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: cutsItself };
  const steps = cuts.map((cut) => (cut === 'bytes' ? bytes : cut));
  return {
    json: {
      normalizer,
      pre_tokenizer: steps.length === 1 ? steps[0] : { type: 'Sequence', pretokenizers: steps },
      decoder: { ...bytes, add_prefix_space: true, use_regex: true },
      model: {
        type: 'BPE',
        ...{ dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
        ...{ fuse_unk: false, byte_fallback: false, ignore_merges: ignoreMerges },
        vocab: vocabulary(keys),
        merges,
      },
    },
    ...{ addsBos, addsEos: false },
    usual: {},
  };
}

/** By `tokenizer.ggml.model`. */
const FORMS: ReadonlyMap<string, (keys: TokenizerKeys) => Form> = new Map([
  ['llama', sentencePiece],
  ['gpt2', byteLevel],
  ['t5', unigram],
]);

/** Tokens that a text is searched for before anything else is done with it. */
function addedTokens({ tokens, kinds }: TokenizerKeys): Json[] {
  return tokens.flatMap((content, id) => {
    const special = kinds[id] === KINDS.control || kinds[id] === KINDS.unknown;
    if (!special && kinds[id] !== KINDS.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

interface SpecialIds {
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly padding: number | undefined;
  /** What ends a chat's turn, where that is another than a text's end. */
  readonly turn: number | undefined;
}

/** What llama.cpp takes for a turn's end where a file names none. */
const TURN_ENDS = ['<|eot_id|>', '<|im_end|>', '<|end|>', '<end_of_turn>'];

function specialIds(keys: TokenizerKeys, { usual }: Form): SpecialIds {
  const has = (id: number | undefined): number | undefined =>
    id !== undefined && id < keys.tokens.length ? id : undefined;
  const eos = keys.id('eos') ?? has(usual.eos);
  const named = keys.tokens.findIndex(
    (token, id) => keys.kinds[id] === KINDS.control && TURN_ENDS.includes(token),
  );
  const turn = keys.id('eot') ?? (named < 0 ? undefined : named);
  return {
    bos: keys.id('bos') ?? has(usual.bos),
    eos,
    unknown: keys.id('unknown') ?? has(usual.unknown),
    padding: keys.id('padding') ?? has(usual.padding),
    turn: turn === eos ? undefined : turn,
  };
}

/** What stands around a text. */
function around(keys: TokenizerKeys, { addsBos, addsEos }: Form, { bos, eos }: SpecialIds): Json | null {
  const before = (keys.flag('add_bos_token') ?? addsBos) ? bos : undefined;
  const after = (keys.flag('add_eos_token') ?? addsEos) ? eos : undefined;
  const put = [before, after].filter((id) => id !== undefined);
  if (put.length === 0) return null;
  const part = (id: number | undefined, type_id: number): Json[] =>
    id === undefined ? [] : [{ SpecialToken: { id: keys.tokens[id], type_id } }];
  const text = (id: string, type_id: number): Json[] => [
    ...part(before, type_id),
    { Sequence: { id, type_id } },
    ...part(after, type_id),
  ];
  return {
    type: 'TemplateProcessing',
    single: text('A', 0),
    pair: [...text('A', 0), ...text('B', 1)],
    special_tokens: Object.fromEntries(
      put.map((id) => {
        const token = keys.tokens[id]!;
        return [token, { id: token, ids: [id], tokens: [token] }];
      }),
    ),
  };
}
