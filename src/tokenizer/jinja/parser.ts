/** Tokens as a tree, by the grammar of jinja2 3.1 with loop controls and transformers' `generation` tag. */
import { CONSTANTS, Expressions } from './expressions.js';
import { tokenize } from './lexer.js';
import type { Body, Expression, Signature, Statement, Target } from './tree.js';

/** Tags of jinja2 that chat templates cannot use, or that make pages of several templates. */
const REFUSED = new Set(['block', 'extends', 'include', 'import', 'from', 'autoescape']);

/** Throws JinjaError with the line of what cannot be parsed. */
export function parse(source: string): Body {
  return new Parser(tokenize(source)).statements([]);
}

class Parser extends Expressions {
  /** Up to a tag of one of these names, whose name is then the current token; to the end where there are none. */
  statements(ends: readonly string[]): Body {
    const body: Statement[] = [];
    for (;;) {
      const { type, value, line } = this.now;
      if (type === 'eof') {
        if (ends.length > 0) this.fail(`Unexpected end of template: ${ends.join(' or ')} is missing`);
        return body;
      }
      this.take();
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

  private body(...ends: string[]): Body {
    this.skip(':');
    this.expectEnd('block');
    return this.statements(ends);
  }

  /** A body to its end tag, which is taken. */
  private whole(end: string): Body {
    const body = this.body(end);
    this.take();
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
    if (Object.hasOwn(CONSTANTS, name)) this.fail(`can't assign to '${name}'`);
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
}

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
