/**
 * How byte-level tokenizers cut a text, in tokenizer.json's terms, by the names that llama.cpp has for it: patterns as the models' own
 * tokenizer.json have them. undefined: a name that is written and not read.
 */

export interface PreTokenizer {
  /** Steps of tokenizer.json's pre-tokenizer; 'bytes' is where the text becomes bytes. */
  readonly cuts: readonly (Readonly<Record<string, unknown>> | 'bytes')[];
  /** Whether bytes are cut by GPT-2's pattern. */
  readonly cutsItself?: boolean;
  readonly normalizer?: Readonly<Record<string, unknown>>;
  /** Whether a piece that is a token is one, whatever merges say. */
  readonly ignoreMerges?: boolean;
  /** Whether a text begins with BOS where a file does not say it. */
  readonly addsBos?: boolean;
}

const split = (regex: string): Readonly<Record<string, unknown>> => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});
const digits = (individual_digits: boolean): Readonly<Record<string, unknown>> => ({
  type: 'Digits',
  individual_digits,
});

const NFC = { type: 'NFC' };
const GPT2: PreTokenizer = { cuts: ['bytes'], cutsItself: true };

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const QWEN2: PreTokenizer = {
  cuts: [split(`${CONTRACTIONS}|${WORDS}|\\p{N}|${REST}`), 'bytes'],
  normalizer: NFC,
};
const SMAUG: PreTokenizer = { cuts: [split(`${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${REST}`), 'bytes'] };
const LLAMA3: PreTokenizer = { ...SMAUG, ignoreMerges: true, addsBos: true };

const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const BEFORE = '[^\\r\\n\\p{L}\\p{N}]?';

export const PRE_TOKENIZERS = {
  'llama-bpe': LLAMA3,
  falcon: {
    cuts: [{ type: 'Punctuation', behavior: 'Contiguous' }, 'bytes', digits(false), split('[0-9][0-9][0-9]')],
    cutsItself: true,
  },
  falcon3: LLAMA3,
  'gpt-2': GPT2,
  olmo: { ...GPT2, normalizer: NFC },
  qwen2: QWEN2,
  'deepseek-r1-qwen': QWEN2,
  'deepseek-llm': undefined,
  'deepseek-coder': undefined,
  tekken: {
    cuts: [
      split(
        `${BEFORE}${UPPER}*${LOWER}+|${BEFORE}${UPPER}+${LOWER}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
      ),
      'bytes',
    ],
    ignoreMerges: true,
    addsBos: true,
  },
  smollm: { cuts: [digits(true), 'bytes'], cutsItself: true },
  'smaug-bpe': SMAUG,
  'seed-coder': {
    cuts: [
      split(`${CONTRACTIONS}|${WORDS}|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`),
      'bytes',
    ],
  },
} as const satisfies Readonly<Record<string, PreTokenizer | undefined>>;

/** `tokenizer.ggml.pre`, of those that are written or read. */
export type PreTokenizerName = keyof typeof PRE_TOKENIZERS;
