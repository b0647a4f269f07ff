/** The classes of a task that has a fixed set of answers, and finding the one that a model's answer means. */

import { UserError } from '../util/errors.js';

/** The different ones, sorted by code unit: the same order on every machine. Empty ones are no labels. */
export function distinctLabels(answers: readonly string[]): string[] {
  return [...new Set(answers.filter((answer) => answer !== ''))].sort();
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

/**
 * The label that an answer means: the same text; else the same but for case, spaces and punctuation; else the longest label that the
 * answer begins with, word by word; else the only label that begins with the answer (of three characters at least). Null where none
 * or several would do.
 */
export function matchLabel(answer: string, labels: readonly string[]): string | null {
  const text = answer.trim();
  if (labels.includes(text)) return text;
  const words = wordsOf(text);
  const joined = words.join('');
  if (joined === '') return null;
  const known = labels.map((label) => ({ label, words: wordsOf(label) })).filter((l) => l.words.length > 0);

  const same = known.filter((l) => l.words.join('') === joined);
  if (same.length > 0) return only(same);

  const begun = known.filter((l) => l.words.every((word, i) => word === words[i]));
  const longest = Math.max(...begun.map((l) => l.words.length));
  if (begun.length > 0) return only(begun.filter((l) => l.words.length === longest));

  return joined.length < 3 ? null : only(known.filter((l) => l.words.join('').startsWith(joined)));
}

function only(found: readonly { readonly label: string }[]): string | null {
  return found.length === 1 ? found[0]!.label : null;
}

function wordsOf(text: string): string[] {
  return (
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? []
  );
}
