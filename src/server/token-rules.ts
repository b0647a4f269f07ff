/** What a request wants of logits: that they are told, and that some tokens are more or less likely than the model has it. */

export interface TokenRulesOptions {
  /** Log-probabilities of so many likeliest tokens beside the chosen one's; absent: none are told. */
  readonly logprobs?: number | undefined;
  /** By token. -100 forbids one, 100 leaves no other. */
  readonly bias?: ReadonlyMap<number, number> | undefined;
  /** What is taken off the logits of tokens that the answer has, once, and for each time. */
  readonly presence?: number | undefined;
  readonly frequency?: number | undefined;
}

/** A chosen token, and the likeliest in its place; natural logarithms of probabilities, of the model's own logits. */
export interface TokenLogprobs {
  readonly token: number;
  readonly logprob: number;
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** Of one answer. */
export class TokenRules {
  private readonly counts = new Map<number, number>();
  private own: Float32Array | undefined;

  constructor(private readonly options: TokenRulesOptions) {}

  /** Whether logits have to be looked at. */
  static areNeeded({ logprobs, bias, presence = 0, frequency = 0 }: TokenRulesOptions): boolean {
    return logprobs !== undefined || (bias?.size ?? 0) > 0 || presence !== 0 || frequency !== 0;
  }

  /** Changes the logits that the next token is chosen by. */
  apply(logits: Float32Array): void {
    const { logprobs, bias, presence = 0, frequency = 0 } = this.options;
    if (logprobs !== undefined) this.own = logits.slice();
    for (const [token, value] of bias ?? [])
      if (token < logits.length) logits[token] = value <= -100 ? -Infinity : logits[token]! + value;
    for (const [token, count] of this.counts) logits[token]! -= presence + frequency * count;
  }

  /** The token that was chosen. @returns its log-probability, where those are wanted */
  chosen(token: number): TokenLogprobs | undefined {
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
    const { logprobs = 0 } = this.options;
    if (!this.own) return undefined;
    const total = logSumExp(this.own);
    const of = (id: number): { token: number; logprob: number } => ({
      token: id,
      logprob: this.own![id]! - total,
    });
    return { ...of(token), top: likeliest(this.own, logprobs).map(of) };
  }
}

function logSumExp(logits: Float32Array): number {
  let most = -Infinity;
  for (const x of logits) if (x > most) most = x;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - most);
  return most + Math.log(sum);
}

/** The numbers of the greatest, the greatest first; of equals the lower number. */
function likeliest(logits: Float32Array, count: number): number[] {
  const found: number[] = [];
  if (count === 0) return found;
  for (let id = 0; id < logits.length; id++) {
    if (found.length === count && logits[id]! <= logits[found[count - 1]!]!) continue;
    let at = found.length;
    while (at > 0 && logits[found[at - 1]!]! < logits[id]!) at--;
    found.splice(at, 0, id);
    if (found.length > count) found.pop();
  }
  return found;
}
