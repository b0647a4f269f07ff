/** A chat with a model: what was said, and the session that holds what the model has read of it. */

import { Session } from '../generate/session.js';
import { stopTokens } from '../generate/stop-tokens.js';
import { readsByEncoder, type CausalLM } from '../models/model.js';
import { ChatPrompts } from '../tasks/index.js';
import { GrowingText, type Message, type Tokenizer } from '../tokenizer/index.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { samplingOf, type ModelFiles, type SamplingFlags } from './model.js';
import { sayText } from './output.js';

/** The least room for a conversation; one that grows out of its room gets twice as much, and is read anew. */
const LEAST_ROOM = 1024;

export class Dialogue {
  private readonly prompts: ChatPrompts;
  private system: string;
  private readonly tokenizer: Tokenizer;
  private said: readonly Message[] = [];
  private session: { readonly of: Session; readonly room: number } | undefined;
  private turns = 0;

  constructor(
    private readonly model: CausalLM,
    { folder, tokenizer }: ModelFiles,
    private readonly flags: SamplingFlags,
    /** `template`: in the place of the model's own. `system`: the system message; none where it is empty. */
    {
      template,
      system = '',
    }: { readonly template?: string | undefined; readonly system?: string | undefined },
  ) {
    this.system = system;
    this.tokenizer = tokenizer;
    this.prompts = new ChatPrompts(tokenizer, stopTokens(folder, tokenizer.eosId), template);
  }

  /** Begins anew. `system`: another system message. */
  reset(system = this.system): void {
    this.said = [];
    this.system = system;
  }

  /**
   * Shows the answer to a message as it grows. Where `signal` ends it, what there is of it is what was said. Throws UserError for a message that
   * the template refuses or that has no room in the model's context; the conversation is as before then.
   */
  async answer(message: string, signal: AbortSignal): Promise<void> {
    const opening = this.system === '' ? [] : [{ role: 'system', content: this.system }];
    const asked = [...this.said, { role: 'user', content: message }];
    const ids = await this.prompts.idsOf([...opening, ...asked]);
    const max_new_tokens = this.newTokens(ids.length);
    const { endTexts, ends } = this.prompts;
    const shown = new GrowingText(this.tokenizer.stream(), endTexts, sayText);
    const tokens: number[] = [];
    try {
      const session = await this.roomFor(ids.length + max_new_tokens);
      await session.submit({
        ...{ index: this.turns++, ids, max_new_tokens, signal, ...ends },
        sampling: samplingOf(this.flags),
        onToken(token) {
          tokens.push(token);
          shown.push(token);
        },
      });
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
    await shown.end();
    sayText('\n');
    const text = this.tokenizer.decode(tokens);
    const content = endTexts.reduce((written, end) => written.split(end, 1)[0]!, text);
    this.said = [...asked, { role: 'assistant', content }];
  }

  async close(): Promise<void> {
    await this.session?.of.close();
  }

  /** How long an answer may be behind so many tokens. */
  private newTokens(tokens: number): number {
    const { maxNewTokens } = this.flags;
    if (readsByEncoder(this.model)) return maxNewTokens;
    const context = this.model.config.max_position_embeddings;
    if (tokens >= context)
      throw new UserError(
        `the conversation has ${tokens} tokens, and the model's context is ${context}: say less, or begin anew by /reset`,
      );
    return Math.min(maxNewTokens, context - tokens);
  }

  private async roomFor(tokens: number): Promise<Session> {
    if (this.session && this.session.room >= tokens) return this.session.of;
    await this.close();
    let room = LEAST_ROOM;
    while (room < tokens) room *= 2;
    const newTokens = this.flags.maxNewTokens;
    const of = new Session(this.model, { slots: 1, longest: room, newTokens, keeps: true });
    this.session = { of, room };
    return of;
  }
}
