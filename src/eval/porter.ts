/**
 * The stemmer of M. F. Porter, "An algorithm for suffix stripping" (Program 14, 1980), with the changes that NLTK makes to it by default,
 * because Google's rouge_score stems with NLTK: a list of irregular words, words of two letters left alone, `ies` and `ied`, and a few
 * suffixes more.
 */

const VOWELS = 'aeiou';

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ['sky', 'sky'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['news', 'news'],
  ['innings', 'inning'],
  ['inning', 'inning'],
  ['outings', 'outing'],
  ['outing', 'outing'],
  ['cannings', 'canning'],
  ['canning', 'canning'],
  ['howe', 'howe'],
  ['proceed', 'proceed'],
  ['exceed', 'exceed'],
  ['succeed', 'succeed'],
]);

/** A suffix, what takes its place, and what must hold of the stem before it. */
type Rule = readonly [suffix: string, replacement: string, holds?: (stem: string) => boolean];

/** The stem of one word, in lower case. */
export function stem(word: string): string {
  const lower = word.toLowerCase();
  const irregular = IRREGULAR.get(lower);
  if (irregular !== undefined) return irregular;
  if (lower.length <= 2) return lower;
  return [plural, participle, finalY, doubleSuffix, longSuffix, lastSuffix, finalE, doubleL].reduce(
    (stemmed, step) => step(stemmed),
    lower,
  );
}

/** Step 1a. */
function plural(word: string): string {
  if (word.length === 4 && word.endsWith('ies')) return word.slice(0, -1);
  return applyFirst(word, [
    ['sses', 'ss'],
    ['ies', 'i'],
    ['ss', 'ss'],
    ['s', ''],
  ]);
}

/** Step 1b. */
function participle(word: string): string {
  if (word.endsWith('ied')) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const suffix = ['ed', 'ing'].find((s) => word.endsWith(s) && hasVowel(word.slice(0, -s.length)));
  if (suffix === undefined) return word;
  const base = word.slice(0, -suffix.length);
  if (/(?:at|bl|iz)$/.test(base)) return `${base}e`;
  if (endsInDoubleConsonant(base)) return /[lsz]$/.test(base) ? base : base.slice(0, -1);
  return measure(base) === 1 && endsInShortSyllable(base) ? `${base}e` : base;
}

/** Step 1c. */
function finalY(word: string): string {
  return applyFirst(word, [['y', 'i', (base) => base.length > 1 && isConsonant(base, base.length - 1)]]);
}

/** Step 2. */
function doubleSuffix(word: string): string {
  if (word.endsWith('alli') && hasMeasure(word.slice(0, -4))) return doubleSuffix(word.slice(0, -2));
  return applyFirst(word, [
    ['ational', 'ate', hasMeasure],
    ['tional', 'tion', hasMeasure],
    ['enci', 'ence', hasMeasure],
    ['anci', 'ance', hasMeasure],
    ['izer', 'ize', hasMeasure],
    ['bli', 'ble', hasMeasure],
    ['alli', 'al', hasMeasure],
    ['entli', 'ent', hasMeasure],
    ['eli', 'e', hasMeasure],
    ['ousli', 'ous', hasMeasure],
    ['ization', 'ize', hasMeasure],
    ['ation', 'ate', hasMeasure],
    ['ator', 'ate', hasMeasure],
    ['alism', 'al', hasMeasure],
    ['iveness', 'ive', hasMeasure],
    ['fulness', 'ful', hasMeasure],
    ['ousness', 'ous', hasMeasure],
    ['aliti', 'al', hasMeasure],
    ['iviti', 'ive', hasMeasure],
    ['biliti', 'ble', hasMeasure],
    ['fulli', 'ful', hasMeasure],
    // The l counts with the stem, so that "geo" and "theo" are long enough.
    ['logi', 'log', (base) => hasMeasure(`${base}l`)],
  ]);
}

/** Step 3. */
function longSuffix(word: string): string {
  return applyFirst(word, [
    ['icate', 'ic', hasMeasure],
    ['ative', '', hasMeasure],
    ['alize', 'al', hasMeasure],
    ['iciti', 'ic', hasMeasure],
    ['ical', 'ic', hasMeasure],
    ['ful', '', hasMeasure],
    ['ness', '', hasMeasure],
  ]);
}

/** In the order in which step 4 tries them; of two that end alike the longer comes first. */
const LAST_SUFFIXES = 'al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize'.split(
  ' ',
);

/** Step 4. */
function lastSuffix(word: string): string {
  return applyFirst(
    word,
    LAST_SUFFIXES.map((suffix) => [
      suffix,
      '',
      (base): boolean => measure(base) > 1 && (suffix !== 'ion' || /[st]$/.test(base)),
    ]),
  );
}

/** Step 5a. */
function finalE(word: string): string {
  return applyFirst(word, [
    ['e', '', (base) => measure(base) > 1 || (measure(base) === 1 && !endsInShortSyllable(base))],
  ]);
}

/** Step 5b. */
function doubleL(word: string): string {
  return applyFirst(word, [['ll', 'l', (base) => measure(`${base}l`) > 1]]);
}

/** Only the first rule whose suffix fits counts, whether or not its condition holds. */
function applyFirst(word: string, rules: readonly Rule[]): string {
  const rule = rules.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const [suffix, replacement, holds] = rule;
  const base = word.slice(0, word.length - suffix.length);
  return holds === undefined || holds(base) ? base + replacement : word;
}

/** A y is a vowel after a consonant. */
function isConsonant(word: string, i: number): boolean {
  if (VOWELS.includes(word[i]!)) return false;
  return word[i] !== 'y' || i === 0 || !isConsonant(word, i - 1);
}

/** Porter's m: how often a vowel is followed by a consonant. */
function measure(word: string): number {
  let m = 0;
  let afterVowel = false;
  for (let i = 0; i < word.length; i++) {
    const consonant = isConsonant(word, i);
    if (consonant && afterVowel) m++;
    afterVowel = !consonant;
  }
  return m;
}

function hasMeasure(base: string): boolean {
  return measure(base) > 0;
}

function hasVowel(base: string): boolean {
  return Array.from(base).some((_, i) => !isConsonant(base, i));
}

function endsInDoubleConsonant(word: string): boolean {
  const last = word.length - 1;
  return last >= 1 && word[last] === word[last - 1] && isConsonant(word, last);
}

/** Consonant, vowel, consonant other than w, x, y at the end (Porter's *o); or, in NLTK, a word of vowel and consonant. */
function endsInShortSyllable(word: string): boolean {
  const last = word.length - 1;
  if (last < 1 || !isConsonant(word, last) || isConsonant(word, last - 1)) return false;
  return last === 1 || (isConsonant(word, last - 2) && !'wxy'.includes(word[last]!));
}
