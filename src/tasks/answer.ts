/** From the tokens that a model generated to its answer. */

import { encodePair, endOfSequence } from './encode.js';
import { matchLabel } from './labels.js';
import { render } from './template.js';
import type { PromptKind } from './prompts.js';
import type { Task, TokenizerLike } from './types.js';

export interface ParsedAnswer {
  /** What the model wrote, up to its end, the first line break after its beginning, or the next marker. */
  readonly text: string;
  /** The answer that counts: for a task with labels the label meant. Null: none, which is never right. */
  readonly answer: string | null;
}

/** The start of a prompt's next section: a model that was not tuned often goes on with one. */
const MARKER = '###';

/** Reads the new tokens alone, so that nothing of the prompt can be taken for an answer. */
export function parseAnswer(task: Task, tokens: readonly number[], tokenizer: TokenizerLike): ParsedAnswer {
  const end = tokenizer.eosId === undefined ? -1 : tokens.indexOf(tokenizer.eosId);
  const own = end < 0 ? tokens : tokens.slice(0, end);
  const decoded = tokenizer.decode(own, { skipSpecialTokens: true }).trimStart();
  const section = decoded.split(MARKER, 1)[0]!;
  const text = (task.multiline ? section : section.split(/[\r\n]/, 1)[0]!).trim();
  if (task.labels !== undefined) return { text, answer: matchLabel(text, task.labels) };
  return { text, answer: text === '' ? null : text };
}

/**
 * The tokens of each label as they stand behind a prompt: what scoring by likelihood compares. After tuning, a label's end belongs to
 * it, since training ends there; a model that was not tuned has not learnt to end. Throws Error for a task without labels.
 */
export function labelContinuations(task: Task, kind: PromptKind, tokenizer: TokenizerLike): number[][] {
  if (task.labels === undefined) throw new Error(`${task.task} has no labels`);
  const template = kind === 'tuned' ? task.prompt : task.baseline.query;
  const prompt = render(template, Object.fromEntries(template.columns.map((column) => [column, 'a'])));
  const ending = kind === 'tuned' ? [endOfSequence(tokenizer)] : [];
  return task.labels.map((label) => [...encodePair(tokenizer, prompt, label).answer, ...ending]);
}
