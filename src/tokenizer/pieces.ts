/**
 * A text is encoded in pieces that are kept: words, of which a language has few, and chunks of many words, because the examples before
 * every question of a few-shot prompt, or the beginning of a text that is being shortened, come again and again. A piece ends before a
 * single space, and only for vocabularies without a token that reaches from anything else into a space behind it: there the
 * merges of BPE, and the best path of Unigram, fall apart at that place whatever stands around it.
 */

/** The ids of a text without special tokens. */
export type Encode = (text: string) => number[];

type Json = Record<string, unknown>;

/** UTF-16 units that a piece has at least, but for the last of a text; how many are kept. */
interface Size {
  readonly least: number;
  readonly kept: number;
}

const WORDS: Size = { least: 1, kept: 1 << 16 };
const CHUNKS: Size = { least: 256, kept: 1 << 12 };

const CUT = /(?<=\S) (?=\S)/gu;
/** A token with a space, SentencePiece's mark for it, or byte-level BPE's letter for it, behind what is not white space. */
const ACROSS = /[^\s▁][ ▁]|[^\u0100-\u0120]\u0120/u;

/**
 * @param whole encodes a text in one piece
 * @param json the tokenizer.json that it goes by
 */
export function inPieces(whole: Encode, json: Json): Encode {
  const added = addedTokens(json);
  if (!mayCut(json, added)) return whole;
  const pieces = cut(splitsWords(json) ? whole : cut(whole, WORDS), CHUNKS);
  // Behind a token that is looked for in the text itself some tokenizers put a space in, as they do at a beginning.
  return (text) => (added.some(({ content }) => text.includes(content)) ? whole(text) : pieces(text));
}

/** Whether the library keeps words by itself: all but tokenizers converted from SentencePiece, which take a text as one word. */
function splitsWords({ pre_tokenizer: splitter }: Json): boolean {
  return splitter != null && (splitter as Json)['split'] !== false;
}

function cut(whole: Encode, { least, kept }: Size): Encode {
  const way = continuation(whole);
  if (!way) return whole;
  const first = remembered(whole, kept);
  const rest = remembered(way, kept);
  return (text) => {
    const ids: number[] = [];
    const take = (piece: readonly number[]): void => {
      for (const id of piece) ids.push(id);
    };
    let start = 0;
    for (const { index } of text.length > least ? text.matchAll(CUT) : []) {
      if (index - start < least) continue;
      take((start === 0 ? first : rest)(text.slice(start, index)));
      start = index + 1;
    }
    take((start === 0 ? first : rest)(text.slice(start)));
    return ids;
  };
}

/** Remembers between `most` and twice as many texts: when the newer ones are many, the older go. */
function remembered(encode: Encode, most: number): (text: string) => readonly number[] {
  let [newer, older] = [new Map<string, readonly number[]>(), new Map<string, readonly number[]>()];
  return (text) => {
    const there = newer.get(text);
    if (there) return there;
    const ids = older.get(text) ?? encode(text);
    if (newer.size >= most) [newer, older] = [new Map<string, readonly number[]>(), newer];
    newer.set(text, ids);
    return ids;
  };
}

interface AddedToken {
  readonly content: string;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

/** Tokens that are looked for in the text itself; runs of spaces among them stand in no piece's way. */
function addedTokens(json: Json): AddedToken[] {
  // The engine refuses others only where it looks at them.
  const all: readonly unknown[] = Array.isArray(json['added_tokens']) ? json['added_tokens'] : [];
  return all.filter((token): token is AddedToken => {
    const content = (token as Partial<AddedToken> | null)?.content;
    return typeof content === 'string' && content.trim() !== '';
  });
}

/** Whether no token of the vocabulary reaches over a place where a piece ends. */
function mayCut(json: Json, added: readonly AddedToken[]): boolean {
  const { type, vocab, end_of_word_suffix, continuing_subword_prefix } = json['model'] as Json;
  if (type !== 'BPE' && type !== 'Unigram') return false;
  if (end_of_word_suffix || continuing_subword_prefix) return false;
  if (added.some(({ lstrip, rstrip }) => lstrip || rstrip)) return false;
  const tokens = type === 'BPE' ? Object.keys(vocab as Json) : (vocab as [string, number][]).map(([t]) => t);
  return !tokens.some((token) => ACROSS.test(token));
}

/** How a piece is encoded that stands behind another and a space: some tokenizers put the space in by themselves. */
function continuation(whole: Encode): Encode | undefined {
  const [before, after] = ['One of them', 'or another: 12 a\nb'];
  const expected = String(whole(`${before} ${after}`));
  const ways: Encode[] = [(text) => whole(text), (text) => whole(` ${text}`)];
  return ways.find((way) => String([...whole(before), ...way(after)]) === expected);
}
