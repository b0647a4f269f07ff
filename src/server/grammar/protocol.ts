/** What the thread that has the grammars is asked, and what it answers. */

/** The tokens that a grammar is over, by their ids. Those that are no text are ''. */
export interface GrammarTokens {
  readonly tokens: readonly string[];
  /** How tokens spell bytes, by XGrammar's names. */
  readonly spelling: 'byte_level' | 'byte_fallback';
  readonly stops: readonly number[];
}

export type GrammarOrder =
  | { readonly do: 'tokens'; readonly tokens: number; readonly of: GrammarTokens }
  | {
      readonly do: 'begin';
      readonly tokens: number;
      readonly matcher: number;
      readonly schema: string;
      readonly isOpen: boolean;
    }
  | { readonly do: 'accept'; readonly matcher: number; readonly token: number }
  | { readonly do: 'end'; readonly matcher: number };

/** A bit for each token that may come next, 32 to a number; `error`: why there is none. */
export interface GrammarReply {
  readonly call: number;
  readonly mask?: Int32Array;
  readonly error?: string;
}
