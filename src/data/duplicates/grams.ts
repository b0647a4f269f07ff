/**
 * A text as runs of words, by which texts are compared. Words are GPT-3's and lm-evaluation-harness's: lower case, without punctuation and
 * symbols, parted by white space; here of Unicode (NFC), and where a script writes no spaces each character is a word. A run of n words
 * is a gram, and stands as a hash of 53 bits: two grams of a million rows are mistaken for one with a chance of one in thousands, which is
 * why nobody is told more of them than that texts have some in common.
 */

/** What a UTF-16 unit is to words. */
const [UNKNOWN, LETTER, SPACE, NOTHING, WORD] = [0, 1, 2, 3, 4];

const SPACES = /[\s\p{Cc}]/u;
const DROPPED = /[\p{P}\p{S}\p{Cf}]/u;
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

const kinds = new Uint8Array(1 << 16);

/** Remembered, but for characters of two units, and for halves of one. */
function kindOf(codePoint: number): number {
  const character = String.fromCodePoint(codePoint);
  const kind = SPACES.test(character)
    ? SPACE
    : DROPPED.test(character)
      ? NOTHING
      : UNSPACED.test(character)
        ? WORD
        : LETTER;
  if (codePoint < 0xd800 || (codePoint > 0xdfff && codePoint < kinds.length)) kinds[codePoint] = kind;
  return kind;
}

/** Murmur3's last step: every bit of a word on every other. */
export function mixed(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Factors of the two halves of a hash: of a word's characters, and of a gram's words. */
const [LOW_CHARACTER, HIGH_CHARACTER] = [0x01000193, 0x5bd1e995];
const [LOW_WORD, HIGH_WORD] = [0x2c1b3c6d, 0x297a2d39];

/** Reads a text at a time, into room that it has. */
export class GramReader {
  /** Hashes of the text's grams, `length` of them, in their order: `high` below 2 ** 21. */
  low = new Uint32Array(1024);
  high = new Uint32Array(1024);
  length = 0;
  private lows = new Uint32Array(1024);
  private highs = new Uint32Array(1024);

  /**
   * @param n words of a gram
   * @param shorter what a text of fewer words has: one gram of all of them, or none
   */
  constructor(
    private readonly n: number,
    private readonly shorter: 'whole' | 'none',
  ) {}

  read(text: string): void {
    const words = this.words(text);
    const n = words < this.n && this.shorter === 'whole' ? words : this.n;
    this.length = n === 0 ? 0 : Math.max(0, words - n + 1);
    if (this.low.length < this.length) {
      this.low = new Uint32Array(2 * this.length);
      this.high = new Uint32Array(2 * this.length);
    }
    let [lowLast, highLast] = [1, 1];
    for (let i = 0; i < n; i++) {
      lowLast = Math.imul(lowLast, LOW_WORD);
      highLast = Math.imul(highLast, HIGH_WORD);
    }
    const { low, high, lows, highs } = this;
    let [a, b] = [0, 0];
    for (let i = 0; i < words; i++) {
      a = (Math.imul(a, LOW_WORD) + lows[i]!) | 0;
      b = (Math.imul(b, HIGH_WORD) + highs[i]!) | 0;
      const first = i - n;
      if (first >= 0) {
        a = (a - Math.imul(lowLast, lows[first]!)) | 0;
        b = (b - Math.imul(highLast, highs[first]!)) | 0;
      }
      if (first >= -1) {
        low[first + 1] = mixed(a);
        high[first + 1] = mixed(b) >>> 11;
      }
    }
  }

  /** The grams as numbers, ascending, each once. */
  distinct(): Float64Array {
    const all = new Float64Array(this.length);
    for (let i = 0; i < all.length; i++) all[i] = this.high[i]! * 2 ** 32 + this.low[i]!;
    all.sort();
    let kept = 0;
    for (let i = 0; i < all.length; i++) if (i === 0 || all[i] !== all[i - 1]) all[kept++] = all[i]!;
    return all.subarray(0, kept);
  }

  /** Hashes of the text's words, and how many there are. */
  private words(given: string): number {
    const text = given.normalize('NFC').toLowerCase();
    let count = 0;
    let [low, high, inWord] = [0, 0, false];
    for (let i = 0; i < text.length; i++) {
      let unit = text.charCodeAt(i);
      let kind = kinds[unit]!;
      if (kind === UNKNOWN) {
        unit = text.codePointAt(i)!;
        kind = kindOf(unit);
        if (unit > 0xffff) i++;
      }
      if (inWord && (kind === SPACE || kind === WORD)) {
        this.put(count++, low, high);
        low = high = 0;
        inWord = false;
      }
      if (kind === LETTER || kind === WORD) {
        low = Math.imul(low ^ unit, LOW_CHARACTER);
        high = Math.imul(high ^ unit, HIGH_CHARACTER) ^ (high >>> 15);
        inWord = true;
      }
      if (kind === WORD) {
        this.put(count++, low, high);
        low = high = 0;
        inWord = false;
      }
    }
    if (inWord) this.put(count++, low, high);
    return count;
  }

  private put(at: number, low: number, high: number): void {
    if (at === this.lows.length) {
      this.lows = longer(this.lows, 2 * at);
      this.highs = longer(this.highs, 2 * at);
    }
    this.lows[at] = mixed(low);
    this.highs[at] = mixed(high);
  }
}

function longer(numbers: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(length);
  all.set(numbers);
  return all;
}
