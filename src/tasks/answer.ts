/** From the tokens that a model generated to its answer. */

import { endOfSequence, pair } from './encode.js';
import { MARKER } from './ends.js';
import { matchLabel } from './labels.js';
import { encodeLater, encodeNow, sideBySide, type Encoding } from './rounds.js';
import type { Method } from './methods.js';
import type { TokenizerLike } from './tokenizer.js';
import type { Task } from './types.js';

/** An answer as it counts. */
export interface ParsedAnswer {
  /** What the model wrote, as it wrote it, up to its end or what ends an answer of this task (`Task.ends`). */
  readonly text: string;
  /** The answer that counts: for a task with labels the label meant. Null: none, which is never right. */
  readonly answer: string | null;
}

/** What is known of the prompt whose answer is read. */
export interface AskedFor {
  /** How the model was asked; tuned by default. */
  readonly method?: Method | undefined;
  /** The right answer: white space around the model's counts where this has some. */
  readonly reference?: string | undefined;
  /** The prompt's last token, which the answer stands behind: some tokenizers write a text's first token without its space. */
  readonly behind?: number | undefined;
}

/** Reads the new tokens alone, so that nothing of the prompt can be taken for an answer. */
export function parseAnswer(
  task: Task,
  tokens: readonly number[],
  tokenizer: TokenizerLike,
  { method = 'tuned', reference = '', behind }: AskedFor = {},
): ParsedAnswer {
  const end = tokenizer.eosId === undefined ? -1 : tokens.indexOf(tokenizer.eosId);
  const decoded = decodeBehind(tokenizer, behind, end < 0 ? tokens : tokens.slice(0, end));
  const turnEnd = task.wording.turnEnd?.(tokenizer);
  const written = turnEnd === undefined ? decoded : decoded.split(turnEnd, 1)[0]!;
  const ends = task.ends[method === 'tuned' ? 'tuned' : 'untuned'];
  const section = ends.marker ? written.split(MARKER, 1)[0]! : written;
  const text = ends.line ? /^\s*[^\r\n]*/.exec(section)![0] : section;
  if (task.labels !== undefined) return { text: text.trim(), answer: matchLabel(text, task.labels) };
  const counted = task.wording.spoken?.(text) ?? text;
  return { text, answer: counted.trim() === '' ? null : trimAs(counted, reference) };
}

/** What ends an answer of the task besides the text's own end: a token, or several, which only their text tells. */
export function answerEnd(
  task: Task,
  tokenizer: TokenizerLike,
): { readonly stopTokens: number[]; readonly endsWith?: (tokens: readonly number[]) => boolean } {
  const end = task.wording.turnEnd?.(tokenizer);
  if (end === undefined) return { stopTokens: [] };
  const ids = tokenizer.encode(end, { addSpecialTokens: false });
  if (ids.length === 1) return { stopTokens: ids };
  const last = end.at(-1)!;
  return {
    stopTokens: [],
    endsWith: (tokens) =>
      // Decoding takes its time: most tokens cannot be the end's last.
      (tokenizer.idToToken?.(tokens.at(-1)!)?.includes(last) ?? true) &&
      tokenizer.decode(tokens.slice(-2 * ids.length), { skipSpecialTokens: true }).includes(end),
  };
}

function decodeBehind(tokenizer: TokenizerLike, behind: number | undefined, own: readonly number[]): string {
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  if (behind === undefined) return decode(own);
  const [before, both] = [decode([behind]), decode([behind, ...own])];
  return both.startsWith(before) ? both.slice(before.length) : decode(own);
}

/** White space around an answer means nothing where none was asked for: what was asked is compared to the letter. */
function trimAs(text: string, reference: string): string {
  const start = /^\s/.test(reference) ? text : text.trimStart();
  return /\s$/.test(reference) ? start : start.trimEnd();
}

/**
 * The tokens of each label as they stand behind a prompt: what scoring by likelihood compares. After tuning, a label's end belongs to
 * it, since training ends there; a model that was not tuned has not learnt to end. Throws Error for a task without labels.
 */
export function labelContinuations(task: Task, kind: Method, tokenizer: TokenizerLike): number[][] {
  return encodeNow(tokenizer, continuations(task, kind, tokenizer));
}

/** The same, encoded side by side. */
export function labelContinuationsLater(
  task: Task,
  kind: Method,
  tokenizer: TokenizerLike,
): Promise<number[][]> {
  return encodeLater(tokenizer, continuations(task, kind, tokenizer));
}

function* continuations(task: Task, kind: Method, tokenizer: TokenizerLike): Encoding<number[][]> {
  const prompt = task.wording.asText?.blank(kind);
  if (task.labels === undefined || prompt === undefined) throw new Error(`${task.task} has no labels`);
  const ending = kind === 'tuned' ? [endOfSequence(tokenizer)] : [];
  const pairs = yield* sideBySide(task.labels.map((label) => pair(tokenizer, prompt, label)));
  return pairs.map(({ answer }) => [...answer, ...ending]);
}
