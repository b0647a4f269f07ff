/**
 * Wording by a chat template: a conversation is laid out as the template writes it, and what is trained on are the spans of the
 * assistant's messages in that text, token by token. One that is too long loses its earliest turns, whole; its system message and its
 * tools stay.
 */

import type { Conversation } from '../data/chat/index.js';
import { CHATML, type ChatOptions, type RenderedChat } from '../tokenizer/index.js';
import { UserError } from '../util/errors.js';
import { answerOf, askedFor, askedOf, comparedOf, laterStarts, spoken, startingAt } from './chat-turns.js';
import { conversationIn } from './chat-rows.js';
import { NO_LOSS } from './encode.js';
import { sideBySide, type Encoding } from './rounds.js';
import { rowNumber } from './sample.js';
import type { TokenizerLike } from './tokenizer.js';
import {
  LeftOut,
  type Sample,
  type TrainingExample,
  type TrainingTextOptions,
  type Wording,
} from './wording.js';

/** How conversations are laid out, and what of them is learnt. */
export interface ChatLayout {
  /** A chat template; absent: the model's own, or ChatML where it has none. */
  readonly template?: string | undefined;
  readonly train_on: 'assistant' | 'last';
}

export function byChatTemplate(layout: ChatLayout): Wording {
  const { template } = layout;
  const ends = new WeakMap<TokenizerLike, string>();
  return {
    values: ({ conversation }) => ({ conversation: conversation as string }),
    answer: (values) => answerOf(conversationIn(values)),
    compared: (values) => comparedOf(conversationIn(values)),
    body: (values) => askedOf(conversationIn(values)),
    example: (sample, tokenizer, options) => example(layout, sample, tokenizer, options),
    *prompts(_kind, samples, tokenizer, { limit }) {
      const prompts = yield* sideBySide(samples.map((sample) => prompt(layout, sample, tokenizer, limit)));
      const shortened = prompts.filter((one) => one.shortened).length;
      return { prompts, shortened, examples: { shown: 0, shortened: 0, dropped: 0 } };
    },
    turnEnd(tokenizer) {
      const end = ends.get(tokenizer) ?? turnEnd(tokenizer, template);
      ends.set(tokenizer, end);
      return end === '' ? undefined : end;
    },
    spoken,
    template: ({ hasChatTemplate = false }) => template ?? (hasChatTemplate ? undefined : CHATML),
    notices: ({ hasChatTemplate = false }) =>
      template !== undefined || hasChatTemplate
        ? []
        : [
            'the model has no chat template, so that conversations are laid out as ChatML; chat_template names another',
          ],
    shortened: 'conversations lost their earliest turns to',
  };
}

function* example(
  { template, train_on }: ChatLayout,
  sample: Sample,
  tokenizer: TokenizerLike,
  { max_length = Infinity, completion_only_loss }: TrainingTextOptions,
): Encoding<TrainingExample> {
  const whole = conversationIn(sample.values);
  const laidOut = function* (conversation: Conversation): Encoding<Omit<TrainingExample, 'shortened'>> {
    const { text, spans } = atRow(sample, () => render(tokenizer, conversation, { template }));
    const { messages } = conversation;
    const kept = spans.filter(({ message }) => messages[message]!.weight !== 0);
    const last = kept.at(-1)?.message;
    const wanted = train_on === 'last' ? kept.filter(({ message }) => message === last) : kept;
    const told = completion_only_loss ? wanted : spans.filter((span) => !kept.includes(span));
    const [encoded] = yield [{ text, spans: told }];
    const { ids, trained = [], fault } = encoded!;
    if (fault !== undefined) throw new UserError(`row ${rowNumber(sample)}: ${fault}`);
    const learnt = completion_only_loss ? 1 : 0;
    const labels = ids.map((id, i) => (trained[i] === learnt ? id : NO_LOSS));
    return { ids, labels, row: sample.row };
  };
  const fits = (one: Omit<TrainingExample, 'shortened'>): boolean => one.ids.length <= max_length;
  const first = yield* laidOut(whole);
  if (fits(first)) return { ...first, shortened: false };
  const found = yield* earliestThatFits(whole, function* (conversation) {
    const one = yield* laidOut(conversation);
    return fits(one) ? one : undefined;
  });
  // What is trained on may be among what was left out.
  if (found?.labels.some((label) => label !== NO_LOSS)) return { ...found, shortened: true };
  throw new LeftOut(
    `row ${rowNumber(sample)}: what is trained on has no room within max_length ${max_length} tokens even without its earlier turns; ` +
      'raise training.max_length or leave the row out',
  );
}

function* prompt(
  { template }: ChatLayout,
  sample: Sample,
  tokenizer: TokenizerLike,
  limit: number,
): Encoding<{ index: number; ids: number[]; shortened: boolean }> {
  const whole = askedFor(conversationIn(sample.values));
  const ask = function* (conversation: Conversation): Encoding<number[] | undefined> {
    const { text } = atRow(sample, () =>
      render(tokenizer, conversation, { template, addGenerationPrompt: true }),
    );
    const [encoded] = yield [{ text, special: false }];
    return encoded!.ids.length <= limit ? encoded!.ids : undefined;
  };
  const first = yield* ask(whole);
  if (first) return { index: sample.row, ids: first, shortened: false };
  const found = yield* earliestThatFits(whole, ask);
  if (found) return { index: sample.row, ids: found, shortened: true };
  throw new UserError(
    `row ${rowNumber(sample)}: the prompt has no room within ${limit} tokens even without its earlier turns; ` +
      'lower max_new_tokens, or take a model with a longer context',
  );
}

/** What `fitting` gives for the conversation without as few of its earliest turns as possible; undefined where none fits. */
function* earliestThatFits<R>(
  conversation: Conversation,
  fitting: (conversation: Conversation) => Encoding<R | undefined>,
): Encoding<R | undefined> {
  const starts = laterStarts(conversation);
  let best: R | undefined;
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const found = yield* fitting(startingAt(conversation, starts[middle]!));
    if (found === undefined) low = middle + 1;
    else [best, high] = [found, middle];
  }
  return best;
}

/** Says in a UserError which row it is about. */
function atRow<R>(sample: Sample, work: () => R): R {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`row ${rowNumber(sample)}: ${error.message}`);
  }
}

function render(
  tokenizer: TokenizerLike,
  { messages, tools }: Conversation,
  options: Pick<ChatOptions, 'addGenerationPrompt'> & Pick<ChatLayout, 'template'>,
): RenderedChat {
  if (!tokenizer.renderChat || tokenizer.decoderStartId !== undefined)
    throw new UserError('chats are for models without an encoder, whose tokenizer lays them out');
  return tokenizer.renderChat(messages, { tools, ...options });
}

/** A word that no template has. */
const PROBE = 'Westwind7';

/** What the template writes behind an assistant's words, without white space around it; '' where it tells no turns apart. */
function turnEnd(tokenizer: TokenizerLike, template: string | undefined): string {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: PROBE },
  ];
  try {
    const { text, spans } = render(tokenizer, { messages }, { template });
    const { start = 0, end = 0 } = spans.at(-1) ?? {};
    const [, behind = ''] = text.slice(start, end).split(PROBE, 2);
    return behind.trim();
  } catch (error) {
    // Rows that cannot be asked or trained on are told by themselves.
    if (error instanceof UserError) return '';
    throw error;
  }
}
