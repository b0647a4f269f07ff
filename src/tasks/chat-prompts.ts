/** How a model is asked in a chat that somebody holds with it: conversations as prompts, and where its answers end. */

import { CHATML, type Message, type Tokenizer } from '../tokenizer/index.js';
import { answerEnd } from './answer.js';
import { chat } from './chat.js';

/** The prompts of a chat with one model. */
export class ChatPrompts {
  /** What the template writes behind the assistant's words, where that is no token that ends the answer. */
  readonly endTexts: readonly string[];
  readonly ends: {
    readonly stopTokens: readonly number[];
    readonly endsWith?: (tokens: readonly number[]) => boolean;
  };

  /**
   * @param stopTokens the model's own
   * @param template in the place of the model's; ChatML where there is neither. Throws UserError for one that cannot be parsed.
   */
  constructor(
    private readonly tokenizer: Tokenizer,
    stopTokens: readonly number[],
    private readonly template?: string,
  ) {
    const task = chat.create({ task: 'chat', chat_template: template }, [], []);
    const turnEnd = task.wording.turnEnd?.(tokenizer);
    const ends = answerEnd(task, tokenizer);
    // A token that ends the answer is no part of its text.
    this.ends = { ...ends, stopTokens: [...stopTokens, ...ends.stopTokens] };
    this.endTexts = turnEnd === undefined || ends.stopTokens.length > 0 ? [] : [turnEnd];
  }

  /** The text of the template by which conversations are laid out. */
  get source(): string {
    return this.template ?? this.tokenizer.chatTemplate ?? CHATML;
  }

  /**
   * A prompt of what was said so far. Throws UserError where the template refuses it.
   * @param begun what the answer begins with, which the model does not write itself
   */
  async idsOf(messages: readonly Message[], tools?: readonly object[], begun = ''): Promise<number[]> {
    const { tokenizer, template } = this;
    const options = { addGenerationPrompt: true, ...(tools && { tools }) };
    const text =
      template === undefined && tokenizer.hasChatTemplate
        ? tokenizer.applyChatTemplate(messages, options)
        : tokenizer.renderChat(messages, { ...options, template }).text;
    // The template writes the special tokens itself.
    const [ids] = await tokenizer.encodeBatch([text + begun], { addSpecialTokens: false });
    return ids!;
  }
}
