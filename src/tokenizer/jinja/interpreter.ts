/** A parsed template, rendered as jinja2 3.1.6 does it in the sandbox and with the functions that transformers gives templates. */
import { attributeOf, itemOf } from './attributes.js';
import { applyFilter, applyTest } from './filters.js';
import { GLOBALS } from './globals.js';
import { loopVariable } from './loop.js';
import { bind } from './python/arguments.js';
import { compare, contains, isEqual } from './python/compare.js';
import { binary, slice, unary } from './python/operators.js';
import { print } from './python/print.js';
import {
  Callable,
  described,
  Dict,
  fault,
  isTrue,
  iterate,
  known,
  Namespace,
  refuse,
  Tuple,
  Undefined,
  type CallArguments,
  type Value,
} from './python/values.js';
import { Trace } from './trace.js';
import type { Arguments, Body, Expression, Signature, Statement, Target } from './tree.js';

/** UTF-16 units that a template may write. */
const MOST_WRITTEN = 1 << 26;

/** Names of a block; a name that is not there is looked for outside. */
class Scope {
  readonly #names = new Map<string, Value>();
  constructor(readonly outer?: Scope) {}
  get(name: string): Value | undefined {
    const own = this.#names.get(name);
    return own === undefined ? this.outer?.get(name) : own;
  }
  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}

/** What is written, in pieces that are put together now and then. */
class Output {
  #pieces: string[] = [];
  #written = 0;
  add(text: string): void {
    this.#written += text.length;
    if (this.#written > MOST_WRITTEN) throw new RangeError('it writes more than 64 million characters');
    this.#pieces.push(text);
    if (this.#pieces.length > 4096) this.#pieces = [this.#pieces.join('')];
  }
  get text(): string {
    return this.#pieces.join('');
  }
  get length(): number {
    return this.#written;
  }
}

/** How a loop's body ended. */
type Ending = 'break' | 'continue' | undefined;

export class Interpreter {
  /** Of what is being rendered. */
  line = 1;
  readonly #globals: ReadonlyMap<string, Value>;
  readonly #deadline: number;
  readonly #trace: Trace;
  readonly #whole = new Output();
  #ticks = 0;
  #out = this.#whole;

  constructor(
    context: ReadonlyMap<string, Value>,
    functions: ReadonlyMap<string, Value>,
    milliseconds: number,
  ) {
    this.#globals = new Map([...GLOBALS, ...functions, ...context]);
    this.#deadline = performance.now() + milliseconds;
    this.#trace = new Trace(context.get('messages'));
  }

  render(body: Body): { text: string; trace: Trace } {
    this.#body(body, new Scope());
    return { text: this.#whole.text, trace: this.#trace };
  }

  /** In the whole text, while that is what is written. */
  readonly #position = (): number | undefined => (this.#out === this.#whole ? this.#whole.length : undefined);

  #tick(): void {
    if ((++this.#ticks & 1023) === 0 && performance.now() > this.#deadline)
      throw new RangeError('it runs without end');
  }

  #body(body: Body, scope: Scope): Ending {
    for (const statement of body) {
      this.#tick();
      this.line = statement.line;
      const ending = this.#statement(statement, scope);
      if (ending) return ending;
    }
    return undefined;
  }

  /** What is written meanwhile, apart. */
  #apart(write: () => void): string {
    const outside = this.#out;
    this.#out = new Output();
    try {
      write();
      return this.#out.text;
    } finally {
      this.#out = outside;
    }
  }

  #captured(body: Body, scope: Scope): string {
    return this.#apart(() => this.#closed(body, scope));
  }

  #closed(body: Body, scope: Scope): void {
    if (this.#body(body, scope)) refuse('leaving a loop from within a block of its own');
  }

  #statement(node: Statement, scope: Scope): Ending {
    switch (node.kind) {
      case 'data':
        this.#out.add(node.text);
        return undefined;
      case 'print':
        for (const value of node.values) this.#out.add(print(this.#value(value, scope)));
        return undefined;
      case 'set': {
        const value = this.#value(node.value, scope);
        this.#trace.name(value);
        this.#assign(node.target, value, scope);
        return undefined;
      }
      case 'setblock': {
        const text = this.#captured(node.body, new Scope(scope));
        this.#assign(node.target, node.filter ? this.#value(node.filter, scope, text) : text, scope);
        return undefined;
      }
      case 'if': {
        for (const [test, body] of node.cases)
          if (isTrue(this.#value(test, scope))) return this.#body(body, scope);
        return this.#body(node.otherwise, scope);
      }
      case 'for':
        this.#loop(node, this.#value(node.over, scope), scope, 0);
        return undefined;
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of node.names) this.#assign(target, this.#value(value, scope), inner);
        return this.#body(node.body, inner);
      }
      case 'macro':
        scope.set(node.name, this.#macro(node.name, node.signature, node.body, scope));
        return undefined;
      case 'callblock': {
        const caller = this.#macro('caller', node.signature, node.body, scope);
        const call = node.call as Expression & { kind: 'call' };
        const args = this.#arguments(call.args, scope);
        const named = new Map([...args.named, ['caller', caller] as const]);
        this.#out.add(print(this.#call(this.#value(call.of, scope), { ...args, named })));
        return undefined;
      }
      case 'filterblock':
        this.#out.add(print(this.#value(node.filter, scope, this.#captured(node.body, new Scope(scope)))));
        return undefined;
      case 'generation':
        this.#trace.generation(this.#position, () => this.#closed(node.body, new Scope(scope)));
        return undefined;
      case 'break':
      case 'continue':
        return node.kind;
    }
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') scope.set(target.name, value);
    else if (target.kind === 'member') {
      const of = this.#name(target.name, scope);
      if (!(of instanceof Namespace)) return fault('cannot assign attribute on non-namespace object');
      of.attributes.set(target.attribute, value);
    } else {
      const items = iterate(value);
      const wanted = target.items.length;
      if (items.length < wanted)
        fault(`not enough values to unpack (expected ${wanted}, got ${items.length})`);
      if (items.length > wanted) fault(`too many values to unpack (expected ${wanted})`);
      target.items.forEach((part, i) => this.#assign(part, items[i]!, scope));
    }
  }

  #loop(node: Statement & { kind: 'for' }, over: Value, scope: Scope, depth: number): void {
    let items = iterate(over);
    const { test } = node;
    if (test) {
      items = items.filter((item) => {
        this.#tick();
        const inner = new Scope(scope);
        this.#assign(node.target, item, inner);
        return isTrue(this.#value(test, inner));
      });
    }
    if (items.length === 0) {
      this.#body(node.otherwise, new Scope(scope));
      return;
    }
    const position = { items, depth, at: 0 };
    const loop = loopVariable(position, (args) => {
      if (!node.recursive)
        return fault("The loop must have the 'recursive' marker to be called recursively.");
      const [inner] = bind('loop', args, ['iterable'], 1);
      return this.#apart(() => this.#loop(node, inner!, scope, depth + 1));
    });
    for (; position.at < items.length; position.at++) {
      this.#tick();
      const inner = new Scope(scope);
      inner.set('loop', loop);
      const item = items[position.at]!;
      this.#assign(node.target, item, inner);
      const ending = this.#trace.round(item, this.#position, () => this.#body(node.body, inner));
      if (ending === 'break') return;
    }
  }

  #macro(name: string, { parameters, defaults }: Signature, body: Body, scope: Scope): Callable {
    const uses = namesIn(body);
    const call = ({ positional, named }: CallArguments): Value => {
      this.#tick();
      const inner = new Scope(scope);
      const rest = new Map(named);
      parameters.forEach((parameter, i) => {
        let value = i < positional.length ? positional[i] : rest.get(parameter);
        if (i < positional.length && rest.has(parameter))
          fault(`macro '${name}' got multiple values for argument '${parameter}'`);
        rest.delete(parameter);
        const usual = defaults[i - (parameters.length - defaults.length)];
        if (value === undefined && usual) value = this.#value(usual, inner);
        inner.set(
          parameter,
          known(value, () => new Undefined(`parameter '${parameter}' was not provided`)),
        );
      });
      if (uses.has('caller') && !parameters.includes('caller')) {
        inner.set(
          'caller',
          known(rest.get('caller'), () => new Undefined('No caller defined')),
        );
        rest.delete('caller');
      }
      if (uses.has('kwargs')) inner.set('kwargs', new Dict(rest));
      else if (rest.size > 0) {
        if (rest.has('caller'))
          fault(
            `macro '${name}' was invoked with two values for the special caller argument. This is most likely a bug.`,
          );
        fault(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]!}'`);
      }
      const more = positional.slice(parameters.length);
      if (uses.has('varargs')) inner.set('varargs', new Tuple(more));
      else if (more.length > 0) fault(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
      const { line } = this;
      const text = this.#captured(body, inner);
      this.line = line;
      return text;
    };
    const attributes = (attribute: string): Value | undefined => {
      if (attribute === 'name') return name;
      if (attribute === 'arguments') return new Tuple([...parameters]);
      return undefined;
    };
    return new Callable(name, call, attributes, 'Macro');
  }

  #name(name: string, scope: Scope): Value {
    return known(scope.get(name), () =>
      known(this.#globals.get(name), () => new Undefined(`'${name}' is undefined`)),
    );
  }

  /** `fed`: what a filter without an operand works on. */
  #value(node: Expression, scope: Scope, fed?: Value): Value {
    this.#tick();
    switch (node.kind) {
      case 'const':
        return node.value;
      case 'name':
        return this.#name(node.name, scope);
      case 'list':
        return node.items.map((item) => this.#value(item, scope));
      case 'tuple':
        return new Tuple(node.items.map((item) => this.#value(item, scope)));
      case 'dict':
        return new Dict(node.pairs.map(([k, v]) => [this.#value(k, scope), this.#value(v, scope)] as const));
      case 'if':
        if (isTrue(this.#value(node.test, scope))) return this.#value(node.then, scope);
        if (node.otherwise) return this.#value(node.otherwise, scope);
        return new Undefined(
          `the inline if-expression on line ${node.line} evaluated to false and no else section was defined.`,
        );
      case 'or':
      case 'and': {
        const left = this.#value(node.left, scope);
        return isTrue(left) === (node.kind === 'or') ? left : this.#value(node.right, scope);
      }
      case 'not':
        return !isTrue(this.#value(node.of, scope));
      case 'compare':
        return this.#compared(node, scope);
      case 'binary': {
        const left = this.#value(node.left, scope);
        return binary(node.sign, left, this.#value(node.right, scope));
      }
      case 'unary':
        return unary(node.sign, this.#value(node.of, scope));
      case 'concat':
        return node.parts.map((part) => print(this.#value(part, scope))).join('');
      case 'attribute':
        return attributeOf(this.#value(node.of, scope), node.name);
      case 'item': {
        const of = this.#value(node.of, scope);
        if (node.key.kind !== 'slice') return itemOf(of, this.#value(node.key, scope));
        return slice(
          of,
          node.key.parts.map((part) => part && this.#value(part, scope)),
        );
      }
      case 'slice':
        return refuse('a slice among several indices');
      case 'call': {
        const of = this.#value(node.of, scope);
        const args = this.#arguments(node.args, scope);
        this.line = node.line;
        return this.#call(of, args);
      }
      case 'filter': {
        const of = node.of ? this.#value(node.of, scope, fed) : fed!;
        const args = this.#arguments(node.args, scope);
        this.line = node.line;
        return applyFilter(node.name, of, args);
      }
      case 'test': {
        const of = this.#value(node.of!, scope);
        const args = this.#arguments(node.args, scope);
        this.line = node.line;
        return applyTest(node.name, of, args);
      }
    }
  }

  #compared({ first, rest }: Expression & { kind: 'compare' }, scope: Scope): boolean {
    let left = this.#value(first, scope);
    return rest.every(([sign, node]) => {
      const right = this.#value(node, scope);
      const holds = COMPARISONS[sign]!(left, right);
      left = right;
      return holds;
    });
  }

  #arguments({ positional, named, star, stars }: Arguments, scope: Scope): CallArguments {
    if (positional.length === 0 && named.length === 0 && !star && !stars) return NOTHING;
    const values = positional.map((node) => this.#value(node, scope));
    if (star) values.push(...iterate(this.#value(star, scope)));
    const byName = new Map(named.map(([name, node]) => [name, this.#value(node, scope)] as const));
    if (stars) {
      const more = this.#value(stars, scope);
      if (!(more instanceof Dict)) return fault('argument after ** must be a mapping');
      for (const [name, value] of more.entries()) byName.set(print(name), value);
    }
    return { positional: values, named: byName };
  }

  #call(of: Value, args: CallArguments): Value {
    if (of instanceof Undefined) return of.fail();
    if (of instanceof Callable) return of.call(args);
    return fault(`'${described(of).replace(/ object$/, '')}' object is not callable`);
  }
}

const NOTHING: CallArguments = { positional: [], named: new Map() };

const COMPARISONS: Readonly<Record<string, (a: Value, b: Value) => boolean>> = {
  '==': isEqual,
  '!=': (a, b) => !isEqual(a, b),
  '<': (a, b) => compare(a, b, '<') < 0,
  '<=': (a, b) => compare(a, b, '<=') <= 0,
  '>': (a, b) => compare(a, b, '>') > 0,
  '>=': (a, b) => compare(a, b, '>=') >= 0,
  in: (a, b) => contains(b, a),
  'not in': (a, b) => !contains(b, a),
};

/** The names that a macro's body reads. */
function namesIn(node: unknown, names = new Set<string>()): Set<string> {
  if (Array.isArray(node)) for (const part of node) namesIn(part, names);
  else if (typeof node === 'object' && node !== null) {
    if ((node as { kind?: string }).kind === 'name') names.add((node as { name: string }).name);
    else for (const part of Object.values(node)) namesIn(part, names);
  }
  return names;
}
