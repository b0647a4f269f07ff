/** The tokenizer and the configuration of the demonstration's base model, as the texts of the files of a Hugging Face folder. */
import { countWords, trainBpe } from './bpe.js';
import { SEED } from './data-files.js';
import { names } from './inventory.js';
import { labels } from './lexicon/index.js';
import { groups, pretrainCorpus } from './pretrain-corpus.js';

const VOCABULARY = 2048;
const SPECIAL = ['<unk>', '<s>', '</s>'] as const;
/** What a text may be written in without falling back to bytes: ASCII's visible characters. */
const ALPHABET = ['▁', ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i))];
const BYTES = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
/** Characters of base text that the merges come from. */
const SAMPLE = 1_500_000;

/** File contents by name within examples/model: everything but the weights. */
export function modelFiles(): ReadonlyMap<string, string> {
  const files = {
    'config.json': CONFIG,
    'generation_config.json': { _from_model_config: true, bos_token_id: 1, eos_token_id: 2 },
    'special_tokens_map.json': { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': TOKENIZER_CONFIG,
  };
  return new Map(Object.entries(files).map(([name, value]) => [name, `${JSON.stringify(value, null, 1)}\n`]));
}

const CONFIG = {
  architectures: ['MistralForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 1,
  eos_token_id: 2,
  head_dim: 32,
  hidden_act: 'silu',
  hidden_size: 192,
  initializer_range: 0.02,
  intermediate_size: 512,
  max_position_embeddings: 1024,
  model_type: 'mistral',
  num_attention_heads: 6,
  num_hidden_layers: 5,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  sliding_window: 512,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  use_cache: true,
  vocab_size: VOCABULARY,
};

const TOKENIZER_CONFIG = {
  add_bos_token: true,
  add_eos_token: false,
  added_tokens_decoder: Object.fromEntries(SPECIAL.map((content, id) => [id, flags(content)])),
  bos_token: '<s>',
  clean_up_tokenization_spaces: false,
  eos_token: '</s>',
  legacy: true,
  model_max_length: 1024,
  pad_token: null,
  tokenizer_class: 'LlamaTokenizerFast',
  unk_token: '<unk>',
};

function flags(content: string): Record<string, unknown> {
  return { content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

function tokenizerJson(): unknown {
  const { merged, merges } = trainBpe(
    wordCounts(),
    VOCABULARY - SPECIAL.length - BYTES.length - ALPHABET.length,
  );
  const pieces = [...SPECIAL, ...BYTES, ...merged, ...ALPHABET];
  const bos = (type_id: number): unknown => ({ SpecialToken: { id: '<s>', type_id } });
  const text = (id: string, type_id: number): unknown => ({ Sequence: { id, type_id } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({ id, ...flags(content) })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [bos(0), text('A', 0)],
      pair: [bos(0), text('A', 0), bos(1), text('B', 1)],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  };
}

/**
 * Words of the base text, and often enough to become pieces: the tasks' markers, which the base text lacks, labels and groups as they stand behind
 * a colon, and names, which a summary has to copy.
 */
function wordCounts(): Map<string, number> {
  const counts = countWords(pretrainCorpus(SEED, SAMPLE));
  const markers = ['### Sentence:', '### Class:', '### Dialogue:', '### Summary:', '\n### Class:'];
  countWords(markers, counts, 2000);
  const words = [...labels, ...groups.values(), ...names];
  countWords([...words, ...words.map((word) => `:${word}`)], counts, 200);
  return counts;
}
