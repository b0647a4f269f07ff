/** Small tokenizers, one of each model type, with the pre-tokenizers, normalizers and decoders that real ones have. */

const special = (id: number, content: string) => ({
  ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
});

const added_tokens = [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')];

const letters = Object.fromEntries(
  ['<unk>', '<s>', '</s>', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((token, id) => [token, id]),
);

const surround = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
  special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
};

const common = { version: '1.0', truncation: null, padding: null, added_tokens };

export const TOKENIZERS: Readonly<Record<string, object>> = {
  bpe: {
    ...common,
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|\\p{L}+|\\p{N}{1,3}|\\s+" },
          behavior: 'Isolated',
          invert: false,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: surround,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      ...{ dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab: { ...letters, ab: 11, abc: 12, Ġ: 13, Ġa: 14 },
      merges: [
        ['a', 'b'],
        ['ab', 'c'],
        ['Ġ', 'a'],
      ],
    },
  },
  unigram: {
    ...common,
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'Prepend', prepend: '▁' }, { type: 'Lowercase' }, { type: 'StripAccents' }],
    },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      ...{ type: 'Unigram', unk_id: 0, byte_fallback: false },
      vocab: [
        ['<unk>', 0],
        ['<s>', 0],
        ['</s>', 0],
        ['▁', -2],
        ['▁a', -2.5],
        ['ab', -3],
        ['a', -4],
        ['b', -4.5],
        ['c', -5],
      ],
    },
  },
  wordpiece: {
    ...common,
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['</s>', 2], cls: ['<s>', 1] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '<unk>',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { ...letters, '##b': 11, '##c': 12 },
    },
  },
};
