/** Small tokenizers of every kind of part, and texts that tell them apart. */
import fc from 'fast-check';
import { charsmap } from './charsmap.js';

type Json = Record<string, unknown>;

const LETTERS = Array.from(
  'abcdefghijklmnopqrstuvwxyzABCDEHIMRSΣσς.,!?-\'"0123456789½²٣ äéß日本\n\t\u00a0\u0085\ufeff▁🙂',
);

/** Byte-level BPE's letter for a byte. */
function byteLetters(): string[] {
  const plain = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(plain(b) ? b : next++));
}

const vocabOf = (tokens: readonly string[]): Json =>
  Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));

const MERGES = ['h e', 't h', 'i n', 'a n', 'e r', 'th e', 'o n'];
const merged = MERGES.map((merge) => merge.replace(' ', ''));

const byteBpe = { type: 'BPE', vocab: vocabOf([...byteLetters(), ...merged]), merges: MERGES };
const bpe = {
  ...{ type: 'BPE', unk_token: '<unk>', vocab: vocabOf(['<unk>', ...LETTERS, ...merged]), merges: MERGES },
};
const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
const sentencePiece = {
  ...{ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true },
  vocab: vocabOf([
    '<unk>',
    '<s>',
    '</s>',
    ...bytes,
    '▁',
    ...Array.from('abcdefghinorstuv'),
    ...merged,
    '▁t',
    '▁the',
  ]),
  merges: [...MERGES, '▁ t', '▁t he', '▁ the'],
};
const unigram = {
  ...{ type: 'Unigram', unk_id: 0, byte_fallback: false },
  vocab: [['<unk>', 0], ...[...LETTERS, ...merged, '▁the'].map((token, i) => [token, -1 - i / 10])],
};
const wordLevel = {
  type: 'WordLevel',
  unk_token: '<unk>',
  vocab: vocabOf(['<unk>', 'the', 'an', 'in', '.', '...', '5']),
};
const wordPiece = {
  ...{ type: 'WordPiece', unk_token: '<unk>', continuing_subword_prefix: '##', max_input_chars_per_word: 20 },
  vocab: vocabOf(['<unk>', ...LETTERS, ...LETTERS.map((l) => `##${l}`), 'the', '##er', 'an']),
};
const models: Readonly<Record<string, Json>> = { byteBpe, bpe, sentencePiece, unigram, wordLevel, wordPiece };

const split = (pattern: Json, behavior: string, invert = false): Json => ({
  type: 'Split',
  pattern,
  behavior,
  invert,
});
const BEHAVIOURS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const preTokenizers: readonly (Json | null)[] = [
  null,
  ...[byteLevel, { ...byteLevel, add_prefix_space: true }, { ...byteLevel, use_regex: false }],
  ...[{ type: 'Whitespace' }, { type: 'WhitespaceSplit' }, { type: 'BertPreTokenizer' }],
  ...[true, false].map((individual_digits) => ({ type: 'Digits', individual_digits })),
  ...BEHAVIOURS.map((behavior) => ({ type: 'Punctuation', behavior })),
  ...BEHAVIOURS.flatMap((behavior) => [
    split({ Regex: '\\d+|\\s+' }, behavior),
    split({ String: 'an' }, behavior, true),
    split({ Regex: '\\p{N}{1,3}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\w' }, behavior),
  ]),
  ...['always', 'never', 'first'].map((prepend_scheme) => ({
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme,
    split: true,
  })),
  ...[{ type: 'CharDelimiterSplit', delimiter: 'n' }, { type: 'UnicodeScripts' }],
  { type: 'FixedLength', length: 3 },
  { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
];

/** Longer, shorter, nothing, of several characters, and with one key the beginning of another. */
const precompiled = {
  type: 'Precompiled',
  precompiled_charsmap: charsmap({
    ...{ '½': '1⁄2', '²': '2', '٣': '3', '①': '(1)', Ａ: 'A', ﬁ: 'fi', ß: 'ss', 日: '日本日本' },
    ...{ '\t': ' ', '\r\n': '\n', '\u00a0': ' ', '\u0085': ' ', '\ufeff': '', '🙂': ':)', Σ: 'σ' },
    ...{ e: 'e', 'e\u0301': 'é', ä: 'a\u0308' },
  }),
};

const normalizers: readonly (Json | null)[] = [
  null,
  ...['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt'].map((type) => ({ type })),
  {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  ...[
    { type: 'Strip', strip_left: true, strip_right: true },
    { type: 'Prepend', prepend: '▁' },
  ],
  ...[{ String: ' ' }, { Regex: '\\s+' }].map((pattern) => ({ type: 'Replace', pattern, content: '▁' })),
  { type: 'Sequence', normalizers: [{ type: 'NFD' }, { type: 'StripAccents' }, { type: 'Lowercase' }] },
  precompiled,
  { type: 'Sequence', normalizers: [precompiled, { type: 'Lowercase' }] },
];

const postProcessors: readonly Json[] = [
  { ...byteLevel, add_prefix_space: true },
  { type: 'BertProcessing', sep: ['in', 258], cls: ['the', 261] },
  ...[true, false].map((trim_offsets) => ({
    ...{ type: 'RobertaProcessing', sep: ['in', 258], cls: ['the', 261] },
    ...{ trim_offsets, add_prefix_space: true },
  })),
  {
    type: 'Sequence',
    processors: [byteLevel, { type: 'BertProcessing', sep: ['in', 258], cls: ['the', 261] }],
  },
];

const decoders: readonly Json[] = [
  ...[byteLevel, { type: 'BPEDecoder', suffix: 'e' }, { type: 'Fuse' }],
  ...[true, false].map((cleanup) => ({ type: 'WordPiece', prefix: 'h', cleanup })),
  ...[true, false].map((cleanup) => ({
    ...{ type: 'CTC', pad_token: 'a', word_delimiter_token: 'e', cleanup },
  })),
  ...['always', 'never', 'first'].map((prepend_scheme) => ({
    ...{ type: 'Metaspace', replacement: '▁', prepend_scheme, split: true },
  })),
  { type: 'Strip', content: 'h', start: 1, stop: 0 },
  { type: 'Replace', pattern: { Regex: '[a-e]+' }, content: '-' },
];

const added = (flags: Json): Json[] =>
  ['<s>', 'AI', '<unk>'].map((content, i) => ({
    ...{
      id: 9000 + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: i === 0,
    },
    ...flags,
  }));

const tokenizerOf = (parts: Json): Json => ({
  ...{ version: '1.0', truncation: null, padding: null, added_tokens: [] },
  ...{ normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, model: bpe },
  ...parts,
});

/** One of each model, pre-tokenizer and normalizer, and of the flags of added tokens, by their names. */
export function builtTokenizers(): Map<string, Json> {
  const all = new Map<string, Json>();
  for (const [name, model] of Object.entries(models)) all.set(`model ${name}`, tokenizerOf({ model }));
  for (const pre_tokenizer of preTokenizers)
    all.set(
      `pre-tokenizer ${JSON.stringify(pre_tokenizer)}`,
      tokenizerOf({
        pre_tokenizer,
        model:
          pre_tokenizer?.['type'] === 'ByteLevel' || pre_tokenizer?.['type'] === 'Sequence' ? byteBpe : bpe,
      }),
    );
  for (const normalizer of normalizers)
    all.set(`normalizer ${JSON.stringify(normalizer)}`, tokenizerOf({ normalizer, model: unigram }));
  all.set('normalizer ByteLevel', tokenizerOf({ normalizer: { type: 'ByteLevel' }, model: byteBpe }));
  for (const post_processor of postProcessors)
    all.set(
      `post-processor ${JSON.stringify(post_processor)}`,
      tokenizerOf({ post_processor, pre_tokenizer: byteLevel, model: byteBpe }),
    );
  for (const decoder of decoders)
    all.set(
      `decoder ${JSON.stringify(decoder)}`,
      tokenizerOf({ decoder, pre_tokenizer: byteLevel, model: byteBpe }),
    );
  for (const flag of ['single_word', 'lstrip', 'rstrip', 'normalized'])
    all.set(
      `added ${flag}`,
      tokenizerOf({ added_tokens: added({ [flag]: true }), normalizer: { type: 'Lowercase' } }),
    );
  all.set('sentencepiece', tokenizerOf(llamaLike()));
  return all;
}

/** Of bytes, in letters of their own; merges across everything but special tokens. */
export function byteTokenizer(
  merges: readonly (readonly [string, string])[],
  special: readonly string[],
): Json {
  const letters = byteLetters();
  const spelt = (text: string): string => Array.from(Buffer.from(text), (byte) => letters[byte]!).join('');
  const pairs = merges.map((pair) => pair.map(spelt));
  const vocab = vocabOf([...letters, ...pairs.map((pair) => pair.join(''))]);
  const whole = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return tokenizerOf({
    model: { type: 'BPE', vocab, merges: pairs },
    ...{ pre_tokenizer: whole, post_processor: whole, decoder: whole },
    added_tokens: special.map((content, i) => ({
      ...{ id: Object.keys(vocab).length + i, content, special: true },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
    })),
  });
}

/** As Llama 2's. */
export function llamaLike(): Json {
  const replace = (from: string, content: string): Json => ({
    type: 'Replace',
    pattern: { String: from },
    content,
  });
  return tokenizerOf({
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    })),
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace(' ', '▁')] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        replace('▁', ' '),
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: sentencePiece,
  });
}

/** Words of the vocabularies and what surrounds them, lone surrogates and NUL among them. */
export const textsOf = fc
  .array(
    fc.oneof(
      fc.constantFrom(...LETTERS),
      fc.constantFrom(
        'the',
        ' an',
        'in',
        '...',
        '<s>',
        'AI',
        '<unk>',
        '  ',
        '\r\n',
        '\0',
        '\ud800',
        '12345',
        'ΣΑΣ ',
        "I'll",
        'e\u0301',
        'ﬁ①Ａ',
      ),
      // Any character there is, and of scripts that are written.
      ...[0x10ffff, 0x3000].map((max) => fc.integer({ min: 0, max }).map((c) => String.fromCodePoint(c))),
    ),
    { maxLength: 24 },
  )
  .map((parts) => parts.join(''));
