/** A tokenizer for tests that loses nothing: BOS, then a token for each word, run of white space, or other character; ':)' is one. */

import type { TokenizerLike } from '../../src/tasks/index.js';

export class WordTokenizer implements TokenizerLike {
  readonly bosId = 0;
  readonly eosId = 1;
  private readonly tokens: string[] = ['', ''];
  private readonly ids = new Map<string, number>();

  encode(text: string, { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {}): number[] {
    const ids = (text.match(/:\)|\w+|\s+|[^]/gu) ?? []).map((token) => {
      const id = this.ids.get(token) ?? this.tokens.push(token) - 1;
      this.ids.set(token, id);
      return id;
    });
    return addSpecialTokens ? [this.bosId, ...ids] : ids;
  }

  decode(ids: readonly number[]): string {
    return ids.map((id) => this.tokens[id]).join('');
  }
}
