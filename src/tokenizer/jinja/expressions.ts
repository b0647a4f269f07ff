/** Expressions, by the grammar of jinja2 3.1. */
import { Cursor } from './cursor.js';
import type { TokenType } from './lexer.js';
import type { Arguments, Expression } from './tree.js';

const COMPARISONS = new Set(['==', '!=', '>', '>=', '<', '<=']);
export const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
};

const LITERALS: ReadonlySet<TokenType> = new Set(['name', 'string', 'integer', 'float']);

const NO_ARGUMENTS: Arguments = { positional: [], named: [], star: undefined, stars: undefined };

export class Expressions extends Cursor {
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
        this.take();
        rest.push([value, this.sum()]);
      } else if (this.skip('in', 'name')) rest.push(['in', this.sum()]);
      else if (this.is('not', 'name') && this.following?.type === 'name' && this.following.value === 'in') {
        this.take();
        this.take();
        rest.push(['not in', this.sum()]);
      } else break;
    }
    return rest.length === 0 ? first : { kind: 'compare', first, rest, line: first.line };
  }

  private binary(signs: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.now.type === 'operator' && signs.includes(this.now.value)) {
      const sign = this.take().value;
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
    if (signed) this.take();
    const inner: Expression = signed
      ? { kind: 'unary', sign: value, of: this.unary(false), line }
      : this.primary();
    const whole = this.postfix(inner);
    return filters ? this.filterOrTest(whole) : whole;
  }

  private primary(): Expression {
    const { type, value, line } = this.now;
    if (type === 'operator' ? !'([{'.includes(value) : !LITERALS.has(type))
      this.fail(`unexpected ${this.shown()}`);
    this.take();
    if (type === 'name') {
      return Object.hasOwn(CONSTANTS, value)
        ? { kind: 'const', value: CONSTANTS[value]!, line }
        : { kind: 'name', name: value, line };
    }
    if (type === 'string') {
      let text = value;
      while (this.now.type === 'string') text += this.take().value;
      return { kind: 'const', value: text, line };
    }
    if (type === 'integer') return { kind: 'const', value: BigInt(value.toLowerCase()), line };
    if (type === 'float') return { kind: 'const', value: Number(value), line };
    if (value === '(') {
      const inner = this.tuple(true, [], true);
      this.expect(')');
      return inner;
    }
    if (value === '[') {
      const items = this.items(']', () => this.expression());
      return { kind: 'list', items, line };
    }
    const pairs = this.items('}', (): [Expression, Expression] => {
      const key = this.expression();
      this.expect(':');
      return [key, this.expression()];
    });
    return { kind: 'dict', pairs, line };
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
        this.take();
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
        this.following?.type === 'operator' &&
        this.following.value === '='
      ) {
        ensure(!stars);
        const name = this.name();
        this.take();
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

  /** The filters behind an operand, or of a tag. */
  protected filters(of: Expression | undefined, first = false): Expression | undefined {
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
    this.take();
    const negated = this.skip('not', 'name');
    const name = this.dotted();
    let args = NO_ARGUMENTS;
    const { type, value } = this.now;
    if (this.is('(')) args = this.arguments();
    else if (
      LITERALS.has(type)
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
