/** A place among a template's tokens, and what may stand there. */
import type { Token } from './lexer.js';
import { JinjaError } from './python/values.js';

export class Cursor {
  #at = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  protected get now(): Token {
    return this.tokens[this.#at]!;
  }

  /** The token behind it; undefined behind the end. */
  protected get following(): Token | undefined {
    return this.tokens[this.#at + 1];
  }

  /** The current token, which is passed. */
  protected take(): Token {
    return this.tokens[this.#at++]!;
  }

  protected fail(message: string, line = this.now.line): never {
    throw new JinjaError(message, line);
  }

  protected is(value: string, type: Token['type'] = 'operator'): boolean {
    return this.now.type === type && this.now.value === value;
  }

  protected skip(value: string, type: Token['type'] = 'operator'): boolean {
    if (!this.is(value, type)) return false;
    this.#at++;
    return true;
  }

  protected expect(value: string, type: Token['type'] = 'operator'): void {
    if (!this.skip(value, type)) this.fail(`expected '${value}', got ${this.shown()}`);
  }

  protected expectEnd(kind: 'block' | 'variable'): void {
    if (!this.skip(kind, 'end')) this.fail(`expected the end of the ${kind} tag, got ${this.shown()}`);
  }

  protected shown(): string {
    const { type, value } = this.now;
    if (type === 'eof') return 'the end of the template';
    return type === 'end' ? 'the end of the tag' : `'${value}'`;
  }

  protected name(): string {
    if (this.now.type !== 'name') this.fail(`expected a name, got ${this.shown()}`);
    return this.take().value;
  }
}
