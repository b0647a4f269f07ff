/** Tokens as a tree, by the grammar of jinja2 3.1 with loop controls and transformers' `generation` tag. */
import { tokenize, type Token } from './lexer.js';
import { JinjaError } from './python/values.js';

interface At {
  readonly line: number;
}
export type Expression = At &
  (
    | { readonly kind: 'const'; readonly value: string | number | bigint | boolean | null }
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
    | { readonly kind: 'dict'; readonly pairs: readonly (readonly [Expression, Expression])[] }
    | {
        readonly kind: 'if';
        readonly test: Expression;
        readonly then: Expression;
        readonly otherwise: Expression | undefined;
      }
    | { readonly kind: 'or' | 'and'; readonly left: Expression; readonly right: Expression }
    | { readonly kind: 'not'; readonly of: Expression }
    | {
        readonly kind: 'compare';
        readonly first: Expression;
        readonly rest: readonly (readonly [string, Expression])[];
      }
    | {
        readonly kind: 'binary';
        readonly sign: string;
        readonly left: Expression;
        readonly right: Expression;
      }
    | { readonly kind: 'unary'; readonly sign: string; readonly of: Expression }
    | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
    | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
    | { readonly kind: 'item'; readonly of: Expression; readonly key: Expression }
    | { readonly kind: 'slice'; readonly parts: readonly (Expression | undefined)[] }
    | { readonly kind: 'call'; readonly of: Expression; readonly args: Arguments }
    | {
        readonly kind: 'filter' | 'test';
        readonly name: string;
        readonly of: Expression | undefined;
        readonly args: Arguments;
      }
  );

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  readonly star: Expression | undefined;
  readonly stars: Expression | undefined;
}

export type Target = At &
  (
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'member'; readonly name: string; readonly attribute: string }
    | { readonly kind: 'tuple'; readonly items: readonly Target[] }
  );

export interface Signature {
  readonly parameters: readonly string[];
  /** Of the last parameters. */
  readonly defaults: readonly Expression[];
}

export type Statement = At &
  (
    | { readonly kind: 'data'; readonly text: string }
    | { readonly kind: 'print'; readonly values: readonly Expression[] }
    | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
    | {
        readonly kind: 'setblock';
        readonly target: Target;
        readonly filter: Expression | undefined;
        readonly body: Body;
      }
    | {
        readonly kind: 'for';
        readonly target: Target;
        readonly over: Expression;
        readonly test: Expression | undefined;
        readonly recursive: boolean;
        readonly body: Body;
        readonly otherwise: Body;
      }
    | {
        readonly kind: 'if';
        readonly cases: readonly (readonly [Expression, Body])[];
        readonly otherwise: Body;
      }
    | {
        readonly kind: 'with';
        readonly names: readonly (readonly [Target, Expression])[];
        readonly body: Body;
      }
    | { readonly kind: 'macro'; readonly name: string; readonly signature: Signature; readonly body: Body }
    | {
        readonly kind: 'callblock';
        readonly call: Expression;
        readonly signature: Signature;
        readonly body: Body;
      }
    | { readonly kind: 'filterblock'; readonly filter: Expression; readonly body: Body }
    | { readonly kind: 'generation'; readonly body: Body }
    | { readonly kind: 'break' | 'continue' }
  );
export type Body = readonly Statement[];

/** Tags of jinja2 that chat templates cannot use, or that make pages of several templates. */
const REFUSED = new Set(['block', 'extends', 'include', 'import', 'from', 'autoescape']);
const COMPARISONS = new Set(['==', '!=', '>', '>=', '<', '<=']);
const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
};
const RESERVED = new Set(Object.keys(CONSTANTS));

/** Throws JinjaError with the line of what cannot be parsed. */
export function parse(source: string): Body {
  return new Parser(tokenize(source)).statements([]);
}

class Parser {
  #at = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  /** Up to a tag of one of these names, whose name is then the current token; to the end where there are none. */
  statements(ends: readonly string[]): Body {
    const body: Statement[] = [];
    for (;;) {
      const { type, value, line } = this.now;
      if (type === 'eof') {
        if (ends.length > 0) this.fail(`Unexpected end of template: ${ends.join(' or ')} is missing`);
        return body;
      }
      this.#at++;
      if (type === 'data') body.push({ kind: 'data', text: value, line });
      else if (value === 'variable') {
        body.push({ kind: 'print', values: [this.tuple()], line });
        this.expectEnd('variable');
      } else {
        if (this.now.type === 'name' && ends.includes(this.now.value)) return body;
        body.push(this.statement());
        this.expectEnd('block');
      }
    }
  }

  private get now(): Token {
    return this.tokens[this.#at]!;
  }

  private fail(message: string, line = this.now.line): never {
    throw new JinjaError(message, line);
  }

  private is(value: string, type: Token['type'] = 'operator'): boolean {
    return this.now.type === type && this.now.value === value;
  }

  private skip(value: string, type: Token['type'] = 'operator'): boolean {
    if (!this.is(value, type)) return false;
    this.#at++;
    return true;
  }

  private expect(value: string, type: Token['type'] = 'operator'): void {
    if (!this.skip(value, type)) this.fail(`expected '${value}', got ${this.shown()}`);
  }

  private expectEnd(kind: 'block' | 'variable'): void {
    if (!this.skip(kind, 'end')) this.fail(`expected the end of the ${kind} tag, got ${this.shown()}`);
  }

  private shown(): string {
    const { type, value } = this.now;
    if (type === 'eof') return 'the end of the template';
    return type === 'end' ? 'the end of the tag' : `'${value}'`;
  }

  private name(): string {
    if (this.now.type !== 'name') this.fail(`expected a name, got ${this.shown()}`);
    return this.tokens[this.#at++]!.value;
  }

  private body(...ends: string[]): Body {
    this.skip(':');
    this.expectEnd('block');
    return this.statements(ends);
  }

  /** A body to its end tag, which is taken. */
  private whole(end: string): Body {
    const body = this.body(end);
    this.#at++;
    return body;
  }

  private statement(): Statement {
    const { line } = this.now;
    const tag = this.name();
    if (Object.hasOwn(STATEMENTS, tag)) return { line, ...STATEMENTS[tag]!(this) } as Statement;
    if (REFUSED.has(tag)) this.fail(`the tag '${tag}' is not for chat templates`, line);
    return this.fail(`Encountered unknown tag '${tag}'`, line);
  }

  for(): Partial<Statement> {
    const target = this.target();
    this.expect('in', 'name');
    const over = this.tuple(false, ['recursive']);
    const test = this.skip('if', 'name') ? this.expression() : undefined;
    const recursive = this.skip('recursive', 'name');
    const body = this.body('endfor', 'else');
    const otherwise = this.name() === 'else' ? this.whole('endfor') : [];
    return { kind: 'for', target, over, test, recursive, body, otherwise };
  }

  if(): Partial<Statement> {
    const cases: [Expression, Body][] = [];
    let otherwise: Body = [];
    for (;;) {
      const test = this.tuple(false);
      cases.push([test, this.body('elif', 'else', 'endif')]);
      const next = this.name();
      if (next === 'elif') continue;
      if (next === 'else') otherwise = this.whole('endif');
      return { kind: 'if', cases, otherwise };
    }
  }

  set(): Partial<Statement> {
    const target = this.target(true);
    if (this.skip('=')) return { kind: 'set', target, value: this.tuple() };
    const filter = this.is('|') ? this.filters(undefined) : undefined;
    return { kind: 'setblock', target, filter, body: this.whole('endset') };
  }

  with(): Partial<Statement> {
    const names: [Target, Expression][] = [];
    while (this.now.type !== 'end') {
      if (names.length > 0) this.expect(',');
      const target = this.target();
      this.expect('=');
      names.push([target, this.expression()]);
    }
    return { kind: 'with', names, body: this.whole('endwith') };
  }

  macro(): Partial<Statement> {
    const name = this.name();
    const signature = this.signature();
    return { kind: 'macro', name, signature, body: this.whole('endmacro') };
  }

  call(): Partial<Statement> {
    const signature = this.is('(') ? this.signature() : { parameters: [], defaults: [] };
    const call = this.expression();
    if (call.kind !== 'call') this.fail('expected call', call.line);
    return { kind: 'callblock', call, signature, body: this.whole('endcall') };
  }

  filter(): Partial<Statement> {
    const filter = this.filters(undefined, true)!;
    return { kind: 'filterblock', filter, body: this.whole('endfilter') };
  }

  print(): Partial<Statement> {
    const values: Expression[] = [];
    while (this.now.type !== 'end') {
      if (values.length > 0) this.expect(',');
      values.push(this.expression());
    }
    return { kind: 'print', values };
  }

  generation(): Partial<Statement> {
    return { kind: 'generation', body: this.whole('endgeneration') };
  }

  private signature(): Signature {
    const parameters: string[] = [];
    const defaults: Expression[] = [];
    this.expect('(');
    while (!this.is(')')) {
      if (parameters.length > 0) this.expect(',');
      const name = this.assignable(this.name());
      if (this.skip('=')) defaults.push(this.expression());
      else if (defaults.length > 0) this.fail('non-default argument follows default argument');
      parameters.push(name);
    }
    this.expect(')');
    return { parameters, defaults };
  }

  private assignable(name: string): string {
    if (RESERVED.has(name)) this.fail(`can't assign to '${name}'`);
    return name;
  }

  private target(members = false): Target {
    const items: Target[] = [];
    const { line } = this.now;
    let tuple = false;
    for (;;) {
      if (this.is('in', 'name') || this.is('=') || this.is(')') || this.now.type === 'end') break;
      items.push(this.oneTarget(members));
      if (!this.skip(',')) break;
      tuple = true;
    }
    if (items.length === 0) this.fail(`Expected an expression, got ${this.shown()}`);
    return tuple ? { kind: 'tuple', items, line } : items[0]!;
  }

  private oneTarget(members: boolean): Target {
    const { line } = this.now;
    if (this.skip('(')) {
      const inner = this.target(members);
      this.expect(')');
      return inner;
    }
    const name = this.assignable(this.name());
    if (members && this.skip('.')) return { kind: 'member', name, attribute: this.name(), line };
    return { kind: 'name', name, line };
  }

  /** One expression, or a tuple where there are commas. */
  tuple(conditional = true, ends: readonly string[] = [], parenthesized = false): Expression {
    const { line } = this.now;
    const items: Expression[] = [];
    let tuple = false;
    for (;;) {
      if (this.now.type === 'end' || this.is(')') || ends.some((end) => this.is(end, 'name'))) break;
      items.push(this.expression(conditional));
      if (!this.skip(',')) break;
      tuple = true;
    }
    if (!tuple) {
      if (items.length > 0) return items[0]!;
      if (!parenthesized) this.fail(`Expected an expression, got ${this.shown()}`);
    }
    return { kind: 'tuple', items, line };
  }

  expression(conditional = true): Expression {
    if (!conditional) return this.or();
    const { line } = this.now;
    let then = this.or();
    while (this.skip('if', 'name')) {
      const test = this.or();
      const otherwise = this.skip('else', 'name') ? this.expression() : undefined;
      then = { kind: 'if', test, then, otherwise, line };
    }
    return then;
  }

  private or(): Expression {
    let left = this.and();
    while (this.skip('or', 'name')) left = { kind: 'or', left, right: this.and(), line: left.line };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.skip('and', 'name')) left = { kind: 'and', left, right: this.not(), line: left.line };
    return left;
  }

  private not(): Expression {
    const { line } = this.now;
    return this.skip('not', 'name') ? { kind: 'not', of: this.not(), line } : this.compare();
  }

  private compare(): Expression {
    const first = this.sum();
    const rest: [string, Expression][] = [];
    for (;;) {
      const { type, value } = this.now;
      if (type === 'operator' && COMPARISONS.has(value)) {
        this.#at++;
        rest.push([value, this.sum()]);
      } else if (this.skip('in', 'name')) rest.push(['in', this.sum()]);
      else if (
        this.is('not', 'name') &&
        this.tokens[this.#at + 1]?.type === 'name' &&
        this.tokens[this.#at + 1]!.value === 'in'
      ) {
        this.#at += 2;
        rest.push(['not in', this.sum()]);
      } else break;
    }
    return rest.length === 0 ? first : { kind: 'compare', first, rest, line: first.line };
  }

  private binary(signs: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.now.type === 'operator' && signs.includes(this.now.value)) {
      const sign = this.tokens[this.#at++]!.value;
      left = { kind: 'binary', sign, left, right: operand(), line: left.line };
    }
    return left;
  }

  private sum(): Expression {
    return this.binary(['+', '-'], () => this.concat());
  }

  private concat(): Expression {
    const parts = [this.product()];
    while (this.skip('~')) parts.push(this.product());
    return parts.length === 1 ? parts[0]! : { kind: 'concat', parts, line: parts[0]!.line };
  }

  private product(): Expression {
    return this.binary(['*', '/', '//', '%'], () => this.binary(['**'], () => this.unary()));
  }

  private unary(filters = true): Expression {
    const { line, value } = this.now;
    const signed = this.is('-') || this.is('+');
    if (signed) this.#at++;
    const inner: Expression = signed
      ? { kind: 'unary', sign: value, of: this.unary(false), line }
      : this.primary();
    const whole = this.postfix(inner);
    return filters ? this.filterOrTest(whole) : whole;
  }

  private primary(): Expression {
    const { type, value, line } = this.now;
    this.#at++;
    if (type === 'name') {
      return Object.hasOwn(CONSTANTS, value)
        ? { kind: 'const', value: CONSTANTS[value]!, line }
        : { kind: 'name', name: value, line };
    }
    if (type === 'string') {
      let text = value;
      while (this.now.type === 'string') text += this.tokens[this.#at++]!.value;
      return { kind: 'const', value: text, line };
    }
    if (type === 'integer') return { kind: 'const', value: BigInt(value.toLowerCase()), line };
    if (type === 'float') return { kind: 'const', value: Number(value), line };
    if (type === 'operator' && value === '(') {
      const inner = this.tuple(true, [], true);
      this.expect(')');
      return inner;
    }
    if (type === 'operator' && value === '[') {
      const items = this.items(']', () => this.expression());
      return { kind: 'list', items, line };
    }
    if (type === 'operator' && value === '{') {
      const pairs = this.items('}', (): [Expression, Expression] => {
        const key = this.expression();
        this.expect(':');
        return [key, this.expression()];
      });
      return { kind: 'dict', pairs, line };
    }
    this.#at--;
    return this.fail(`unexpected ${this.shown()}`);
  }

  private items<T>(end: string, parse: () => T): T[] {
    const items: T[] = [];
    while (!this.is(end)) {
      if (items.length > 0) this.expect(',');
      if (this.is(end)) break;
      items.push(parse());
    }
    this.expect(end);
    return items;
  }

  private postfix(of: Expression): Expression {
    for (let node = of; ;) {
      const { line } = this.now;
      if (this.skip('.')) {
        const { type, value } = this.now;
        this.#at++;
        if (type === 'name') node = { kind: 'attribute', of: node, name: value, line };
        else if (type === 'integer')
          node = { kind: 'item', of: node, key: { kind: 'const', value: BigInt(value), line }, line };
        else this.fail('expected name or number', line);
      } else if (this.skip('[')) {
        const keys: Expression[] = [];
        while (!this.is(']')) {
          if (keys.length > 0) this.expect(',');
          keys.push(this.subscript());
        }
        this.expect(']');
        const key: Expression = keys.length === 1 ? keys[0]! : { kind: 'tuple', items: keys, line };
        node = { kind: 'item', of: node, key, line };
      } else if (this.is('(')) node = { kind: 'call', of: node, args: this.arguments(), line };
      else return node;
    }
  }

  private subscript(): Expression {
    const { line } = this.now;
    const parts: (Expression | undefined)[] = [];
    if (this.skip(':')) parts.push(undefined);
    else {
      const first = this.expression();
      if (!this.skip(':')) return first;
      parts.push(first);
    }
    const bound = (): Expression | undefined =>
      this.is(':') || this.is(']') || this.is(',') ? undefined : this.expression();
    parts.push(bound());
    parts.push(this.skip(':') ? bound() : undefined);
    return { kind: 'slice', parts, line };
  }

  private arguments(): Arguments {
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let star: Expression | undefined;
    let stars: Expression | undefined;
    const ensure = (right: boolean): void => {
      if (!right) this.fail('invalid syntax for function call expression');
    };
    this.expect('(');
    for (let comma = false; !this.is(')'); comma = true) {
      if (comma) {
        this.expect(',');
        if (this.is(')')) break;
      }
      if (this.skip('*')) {
        ensure(!star && !stars);
        star = this.expression();
      } else if (this.skip('**')) {
        ensure(!stars);
        stars = this.expression();
      } else if (
        this.now.type === 'name' &&
        this.tokens[this.#at + 1]?.type === 'operator' &&
        this.tokens[this.#at + 1]!.value === '='
      ) {
        ensure(!stars);
        const name = this.name();
        this.#at++;
        named.push([name, this.expression()]);
      } else {
        ensure(!star && !stars && named.length === 0);
        positional.push(this.expression());
      }
    }
    this.expect(')');
    return { positional, named, star, stars };
  }

  private filterOrTest(of: Expression): Expression {
    for (let node = of; ;) {
      if (this.is('|')) node = this.filters(node)!;
      else if (this.is('is', 'name')) node = this.test(node);
      else if (this.is('(')) node = { kind: 'call', of: node, args: this.arguments(), line: this.now.line };
      else return node;
    }
  }

  private filters(of: Expression | undefined, first = false): Expression | undefined {
    let node = of;
    for (let begun = first; begun || this.skip('|'); begun = false) {
      const { line } = this.now;
      const name = this.dotted();
      const args = this.is('(') ? this.arguments() : NO_ARGUMENTS;
      node = { kind: 'filter', name, of: node, args, line };
    }
    return node;
  }

  private dotted(): string {
    let name = this.name();
    while (this.skip('.')) name += `.${this.name()}`;
    return name;
  }

  private test(of: Expression): Expression {
    const { line } = this.now;
    this.#at++;
    const negated = this.skip('not', 'name');
    const name = this.dotted();
    let args = NO_ARGUMENTS;
    const { type, value } = this.now;
    if (this.is('(')) args = this.arguments();
    else if (
      ['name', 'string', 'integer', 'float'].includes(type)
        ? !(type === 'name' && ['else', 'or', 'and'].includes(value))
        : this.is('[') || this.is('{')
    ) {
      if (this.is('is', 'name')) this.fail('You cannot chain multiple tests with is');
      args = { ...NO_ARGUMENTS, positional: [this.postfix(this.primary())] };
    }
    const node: Expression = { kind: 'test', name, of, args, line };
    return negated ? { kind: 'not', of: node, line } : node;
  }
}

const NO_ARGUMENTS: Arguments = { positional: [], named: [], star: undefined, stars: undefined };

const STATEMENTS: Readonly<Record<string, (parser: Parser) => Partial<Statement>>> = {
  for: (p) => p.for(),
  if: (p) => p.if(),
  set: (p) => p.set(),
  with: (p) => p.with(),
  macro: (p) => p.macro(),
  call: (p) => p.call(),
  filter: (p) => p.filter(),
  print: (p) => p.print(),
  generation: (p) => p.generation(),
  break: () => ({ kind: 'break' }),
  continue: () => ({ kind: 'continue' }),
};
