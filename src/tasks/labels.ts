/** The classes of a task that has a fixed set of answers, and finding the one that a model's answer means. */

import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { setting, text } from '../util/settings.js';

/** The setting of the tasks that have a fixed set of answers. */
export const LABELS = setting(
  z.array(text.describe('A class.')).min(2),
  'The classes. Default: those of the training data, sorted.',
);

/** The different ones, sorted by code unit: the same order on every machine. Empty ones are no labels. */
export function distinctLabels(answers: Iterable<string>): string[] {
  const labels = new Set(answers);
  labels.delete('');
  return [...labels].sort();
}

/** Throws UserError where the labels cannot tell answers apart. */
export function checkLabels(labels: readonly string[]): void {
  if (labels.length < 2) {
    const found = labels.length === 0 ? 'none' : `only '${labels[0]!}'`;
    throw new UserError(
      `a classification needs two classes at least, and there is ${found}: list them under 'labels', ` +
        'or give training rows that have them',
    );
  }
  const repeated = labels.find((label, i) => labels.indexOf(label) !== i);
  if (repeated !== undefined) throw new UserError(`labels: '${repeated}' is there twice`);
  const unread = labels.find((label) => label.trim() !== label || label === '' || /[\r\n]|###/.test(label));
  if (unread !== undefined) {
    throw new UserError(
      `labels: ${JSON.stringify(unread)} cannot be read back from an answer: ` +
        'a label has no white space around it, no line break and no ###',
    );
  }
}

/** Whether a text is one of the labels, to the letter. */
export function isLabel(text: string, labels: readonly string[]): boolean {
  return indexOf(labels).exact.has(text);
}

/**
 * The label that an answer means: the same text; else the same but for case, spaces and punctuation; else the longest label that the
 * answer begins with, word by word; else the only label that begins with the answer (of three characters at least, and not in the midst of
 * a number). Null where none or several would do. A number is one word, with its sign, point and all: '1.0', '-1' and '1/2' begin with no '1'.
 */
export function matchLabel(answer: string, labels: readonly string[]): string | null {
  const text = answer.trim();
  const { exact, same, known } = indexOf(labels);
  if (exact.has(text)) return text;
  const words = wordsOf(text);
  const joined = join(words);
  if (joined === '') return null;

  const alike = same.get(joined);
  if (alike) return only(alike);

  const begun = known.filter((l) => l.words.every((word, i) => word === words[i]));
  const longest = Math.max(...begun.map((l) => l.words.length));
  if (begun.length > 0) return only(begun.filter((l) => l.words.length === longest));

  return joined.length < 3 || /\p{N}$/u.test(joined)
    ? null
    : only(known.filter((l) => l.joined.startsWith(joined)));
}

interface KnownLabel {
  readonly label: string;
  readonly words: readonly string[];
  readonly joined: string;
}

interface LabelIndex {
  readonly exact: ReadonlySet<string>;
  readonly same: ReadonlyMap<string, readonly KnownLabel[]>;
  /** Those that have words. */
  readonly known: readonly KnownLabel[];
}

const indices = new WeakMap<readonly string[], LabelIndex>();

/** What is looked up for each answer, made once for a task's labels: there may be tens of thousands. */
function indexOf(labels: readonly string[]): LabelIndex {
  const there = indices.get(labels);
  if (there) return there;
  const known = labels
    .map((label): KnownLabel => {
      const words = wordsOf(label);
      return { label, words, joined: join(words) };
    })
    .filter(({ words }) => words.length > 0);
  const same = new Map<string, KnownLabel[]>();
  for (const label of known) {
    const alike = same.get(label.joined);
    if (alike) alike.push(label);
    else same.set(label.joined, [label]);
  }
  const index = { exact: new Set(labels), same, known };
  indices.set(labels, index);
  return index;
}

function only(found: readonly { readonly label: string }[]): string | null {
  return found.length === 1 ? found[0]!.label : null;
}

/** Letters, marks and digits. */
const A = '\\p{L}\\p{M}\\p{N}';

/** A run of them with the sign or point of a number before it, the digits that punctuation joins to it, and what tells C, C++ and C#, A and A- apart. */
const WORD = new RegExp(
  `(?:(?<![${A}])(?:[-+]\\.?|(?<!\\.)\\.)(?=\\p{N}))?[${A}]+(?:(?<=\\p{N})[^${A}\\s]+(?=\\p{N})[${A}]+)*(?:[+#]+|-(?![-${A}]))?`,
  'gu',
);

function wordsOf(text: string): string[] {
  return text.normalize('NFKC').toLowerCase().replaceAll('\u2212', '-').match(WORD) ?? [];
}

/** Without spaces, but for those that keep numbers apart. */
function join(words: readonly string[]): string {
  return words.reduce(
    (text, word) => `${text}${/\p{N}$/u.test(text) && /^[-+.\p{N}]/u.test(word) ? ' ' : ''}${word}`,
    '',
  );
}
