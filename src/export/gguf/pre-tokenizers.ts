/**
 * How llama.cpp calls the ways in which byte-level tokenizers cut a text before they merge (`tokenizer.ggml.pre`). It tells them, as its
 * converter does, by a hash of the tokens of one text (`get_vocab_base_pre` of
 * https://github.com/ggml-org/llama.cpp/blob/master/conversion/base.py): those of the families that are exported.
 */
import { createHash } from 'node:crypto';
import type { PreTokenizerName } from './pre-tokenizer-steps.js';

const EMOJI =
  '\u{1f680} (normal) \u{1f636}\u200d\u{1f32b}\ufe0f (multiple emojis concatenated) \u2705 \u{1f999}\u{1f999}';
const DIGITS = Array.from({ length: 8 }, (_, i) => '3'.repeat(i + 1)).join(' ');
const KHMER = '\u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785\u{1f601}';
const CHINESE = '?\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e';
const BULGARIAN =
  '\u043d\u0435\u0449\u043e \u043d\u0430 \u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438';

/** The text. */
const PROBE =
  `\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n${EMOJI} ${DIGITS} 3.3 3..3 3...3 ${KHMER} ${CHINESE} ------======= ${BULGARIAN} ` +
  "''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? " +
  "'M not sure I'll make it, 'D you like some tea? We'Ve a'lL";

const NAMES: ReadonlyMap<string, PreTokenizerName> = new Map([
  ['0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5', 'llama-bpe'],
  ['8aeee3860c56296a157a1fe2fad249ec40aa59b1bb5709f4ade11c4e6fe652ed', 'falcon'],
  ['9d032fcbd5501f4a38150912590928bfb36091efb5df11b8e2124b0390e3fb1e', 'falcon3'],
  ['3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454', 'gpt-2'],
  ['b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166', 'olmo'],
  ['e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea', 'qwen2'],
  ['d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c', 'qwen2'],
  ['b3f499bb4255f8ca19fccd664443283318f2fd2414d5e0b040fbdd0cc195d6c5', 'deepseek-r1-qwen'],
  ['049ecf7629871e3041641907f3de7c733e4dbfdc736f57d882ba0b0845599754', 'deepseek-llm'],
  ['347715f544604f9118bb75ed199f68779f423cabb20db6de6f31b908d04d7821', 'deepseek-coder'],
  ['63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e', 'tekken'],
  ['855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249', 'smollm'],
  ['c136ed14d01c2745d4f60a9596ae66800e2b61fa45643e72436041855ad4089d', 'smaug-bpe'],
  ['d5f1dd6f980fec569fb218a81a7658ac45fc56b38c5a0adeb1c232fbe04ef5ec', 'seed-coder'],
]);

/** `encode`: a text's tokens, those around it included. `name` is undefined where llama.cpp does not know the hash, or it is not here. */
export function preTokenizer(encode: (text: string) => ArrayLike<number>): {
  readonly hash: string;
  readonly name: PreTokenizerName | undefined;
} {
  const ids = `[${Array.from(encode(PROBE)).join(', ')}]`;
  const hash = createHash('sha256').update(ids).digest('hex');
  return { hash, name: NAMES.get(hash) };
}
