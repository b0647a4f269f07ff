/** A parsed template, rendered as jinja2 3.1.6 does it in the sandbox and with the functions that transformers gives templates. */
import { applyFilter, applyTest, type Engine } from './filters.js';
import { binary, described, place, slice, unary } from './python/operators.js';
import type { Arguments, Body, Expression, Signature, Statement, Target } from './parser.js';
import { stringMethod } from './python/strings.js';
import { bind, whole } from './python/arguments.js';
import {
  Callable,
  compare,
  contains,
  Dict,
  fault,
  Group,
  isEqual,
  isTrue,
  iterate,
  known,
  Markup,
  Namespace,
  print,
  Range,
  refuse,
  Tuple,
  Undefined,
  View,
  type CallArguments,
  type Value,
} from './python/values.js';

/** UTF-16 units that a template may write. */
const MOST_WRITTEN = 1 << 26;

/** jinja2's sandbox allows no longer ranges. */
const MOST_RANGE = 100_000;

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
}

/** How a loop's body ended. */
type Ending = 'break' | 'continue' | undefined;

const MUTATING: Readonly<Record<string, readonly string[]>> = {
  list: ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
};
/** What Python's numbers and lists have besides; named, since undefined would be wrong. */
const INT = [
  ...['bit_length', 'bit_count', 'conjugate', 'real', 'imag', 'numerator', 'denominator'],
  ...['to_bytes', 'from_bytes', 'as_integer_ratio'],
];
const UNKNOWN: Readonly<Record<string, readonly string[]>> = {
  list: ['copy'],
  dict: ['fromkeys'],
  int: INT,
  bool: INT,
  float: ['is_integer', 'hex', 'fromhex', 'conjugate', 'real', 'imag', 'as_integer_ratio'],
  range: ['start', 'stop', 'step', 'count', 'index'],
  generator: ['send', 'throw', 'close', 'gi_frame', 'gi_code', 'gi_running', 'gi_yieldfrom'],
  dict_keys: ['isdisjoint', 'mapping'],
  dict_items: ['isdisjoint', 'mapping'],
  dict_values: ['mapping'],
};

export class Interpreter implements Engine {
  /** Of what is being rendered. */
  line = 1;
  readonly #globals: ReadonlyMap<string, Value>;
  readonly #deadline: number;
  #ticks = 0;
  #out = new Output();

  constructor(
    context: ReadonlyMap<string, Value>,
    functions: ReadonlyMap<string, Value>,
    milliseconds: number,
  ) {
    this.#globals = new Map([...this.#functions(), ...functions, ...context]);
    this.#deadline = performance.now() + milliseconds;
  }

  render(body: Body): string {
    this.#body(body, new Scope());
    return this.#out.text;
  }

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

  /** What a body writes, apart. */
  #captured(body: Body, scope: Scope): string {
    const outside = this.#out;
    this.#out = new Output();
    try {
      if (this.#body(body, scope)) refuse('leaving a loop from within a block of its own');
      return this.#out.text;
    } finally {
      this.#out = outside;
    }
  }

  #statement(node: Statement, scope: Scope): Ending {
    switch (node.kind) {
      case 'data':
        this.#out.add(node.text);
        return undefined;
      case 'print':
        for (const value of node.values) this.#out.add(print(this.#value(value, scope)));
        return undefined;
      case 'set':
        this.#assign(node.target, this.#value(node.value, scope), scope);
        return undefined;
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
        this.#out.add(this.#captured(node.body, new Scope(scope)));
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
    let changed: Value | undefined;
    const missing = (what: string) => (): Value => new Undefined(`there is no ${what} item`);
    let at = 0;
    const loop = new Callable(
      'loop',
      (args) => {
        if (!node.recursive)
          return fault("The loop must have the 'recursive' marker to be called recursively.");
        const [inner] = bind('loop', args, ['iterable'], 1);
        const outside = this.#out;
        this.#out = new Output();
        try {
          this.#loop(node, inner!, scope, depth + 1);
          return this.#out.text;
        } finally {
          this.#out = outside;
        }
      },
      (name) => {
        const n = items.length;
        switch (name) {
          case 'index':
            return BigInt(at + 1);
          case 'index0':
            return BigInt(at);
          case 'revindex':
            return BigInt(n - at);
          case 'revindex0':
            return BigInt(n - at - 1);
          case 'first':
            return at === 0;
          case 'last':
            return at === n - 1;
          case 'length':
            return BigInt(n);
          case 'depth':
            return BigInt(depth + 1);
          case 'depth0':
            return BigInt(depth);
          case 'previtem':
            return known(items[at - 1], missing('previous'));
          case 'nextitem':
            return known(items[at + 1], missing('next'));
          case 'cycle':
            return new Callable('cycle', ({ positional }) =>
              positional.length === 0
                ? fault('no items for cycling given')
                : positional[at % positional.length]!,
            );
          case 'changed':
            return new Callable('changed', ({ positional }) => {
              const now = new Tuple(positional);
              const same = changed !== undefined && isEqual(changed, now);
              changed = now;
              return !same;
            });
          default:
            return undefined;
        }
      },
      'LoopContext',
    );
    for (; at < items.length; at++) {
      this.#tick();
      const inner = new Scope(scope);
      inner.set('loop', loop);
      this.#assign(node.target, items[at]!, inner);
      if (this.#body(node.body, inner) === 'break') return;
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
        return this.attribute(this.#value(node.of, scope), node.name);
      case 'item': {
        const of = this.#value(node.of, scope);
        if (node.key.kind !== 'slice') return this.item(of, this.#value(node.key, scope));
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
        return applyFilter(node.name, of, args, this);
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

  /** `of.name`: Python's attribute, else the item of that name. */
  attribute(of: Value, name: string): Value {
    if (of instanceof Undefined) return UNDERSCORED.has(name) ? of : of.fail();
    const found = this.#own(of, name);
    if (found !== undefined) return found;
    if (of instanceof Dict) {
      const item = of.get(name);
      if (item !== undefined) return item;
    }
    return new Undefined(`'${described(of)}' has no attribute '${name}'`);
  }

  /** `of[key]`: the item, else for a text Python's attribute of that name. */
  item(of: Value, key: Value): Value {
    if (of instanceof Undefined) return of.fail();
    if (of instanceof Dict) {
      const hashable = !(Array.isArray(key) || key instanceof Dict);
      const item = hashable ? of.get(key) : undefined;
      if (item !== undefined) return item;
    } else if (typeof key === 'bigint' || typeof key === 'boolean') {
      if (typeof of === 'string' && !/[\ud800-\udfff]/.test(of)) {
        const at = place(key, of.length);
        if (at !== undefined) return of[at]!;
      } else if (typeof of === 'string' || Array.isArray(of) || of instanceof Tuple) {
        const items = iterate(of);
        const at = place(key, items.length);
        if (at !== undefined) return items[at]!;
      } else if (of instanceof Range) {
        const at = place(key, of.length);
        if (at !== undefined) return of.at(at);
      } else if (of instanceof Markup) refuse('an item of an escaped string');
    } else if (of instanceof Namespace && typeof key === 'string') {
      const value = of.attributes.get(key);
      if (value !== undefined) return value;
    }
    if (typeof key === 'string') {
      const own = this.#own(of, key);
      if (own !== undefined) return own;
      return new Undefined(`'${described(of)}' has no attribute '${key}'`);
    }
    return new Undefined(`${described(of)} has no element ${print(key)}`);
  }

  /** Python's attribute of an object; undefined where it has none. The sandbox hides what changes lists and dicts. */
  #own(of: Value, name: string): Value | undefined {
    const type = described(of).replace(/ object$/, '');
    const unsafe = name.startsWith('_') ? UNDERSCORED.has(name) : (MUTATING[type]?.includes(name) ?? false);
    if (unsafe) return new Undefined(`access to attribute '${name}' of '${type}' object is unsafe.`);
    if (UNKNOWN[type]?.includes(name)) return refuse(`${type}.${name}`);
    if (typeof of === 'string') return stringMethod(of, name);
    if (of instanceof Markup) return refuse(`a method of an escaped string`);
    if (of instanceof Namespace) return of.attributes.get(name);
    if (of instanceof Callable) return of.attributes?.(name);
    if (of instanceof Dict) return dictMethod(of, name);
    if (Array.isArray(of) || of instanceof Tuple) return sequenceMethod(of, name);
    return undefined;
  }

  #functions(): Map<string, Value> {
    const functions: Readonly<Record<string, (args: CallArguments) => Value>> = {
      range: ({ positional, named }) => {
        if (named.size > 0) fault('range() takes no keyword arguments');
        const values = positional.map((value) => BigInt(whole('range', value, 0)));
        if (values.length < 1 || values.length > 3)
          fault(`range expected 1 to 3 arguments, got ${values.length}`);
        const [start, stop, step = 1n] =
          values.length === 1 ? [0n, values[0]!] : (values as [bigint, bigint, bigint?]);
        if (step === 0n) fault('range() arg 3 must not be zero');
        const range = new Range(start, stop, step);
        if (range.length > MOST_RANGE)
          fault(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MOST_RANGE}).`);
        return range;
      },
      dict: ({ positional, named }) => {
        const [of] = positional;
        if (positional.length > 1) fault(`dict expected at most 1 argument, got ${positional.length}`);
        const entries =
          of instanceof Dict
            ? [...of.entries()]
            : of === undefined
              ? []
              : of instanceof Undefined
                ? of.fail()
                : iterate(of).map(pairOf);
        return new Dict([...entries, ...named]);
      },
      namespace: ({ positional, named }) => {
        const namespace = new Namespace();
        const [of] = positional;
        if (positional.length > 1) fault(`dict expected at most 1 argument, got ${positional.length}`);
        if (of !== undefined && !(of instanceof Dict)) refuse('a namespace of pairs');
        for (const [key, value] of of instanceof Dict ? of.entries() : [])
          namespace.attributes.set(print(key), value);
        for (const [key, value] of named) namespace.attributes.set(key, value);
        return namespace;
      },
      cycler: ({ positional }) => {
        if (positional.length === 0) fault('at least one item has to be provided');
        let at = 0;
        return new Callable(
          'cycler',
          () => fault("'Cycler' object is not callable"),
          (name) => {
            if (name === 'current') return positional[at];
            if (name === 'next')
              return new Callable('next', () => {
                const now = positional[at]!;
                at = (at + 1) % positional.length;
                return now;
              });
            return name === 'reset' ? new Callable('reset', () => ((at = 0), null)) : undefined;
          },
          'Cycler',
        );
      },
      joiner: (args) => {
        const [by = ', '] = bind('joiner', args, ['sep']);
        let used = false;
        return new Callable(
          'joiner',
          () => {
            if (used) return by;
            used = true;
            return '';
          },
          undefined,
          'Joiner',
        );
      },
      lipsum: () => refuse("'lipsum'"),
    };
    return new Map(Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]));
  }
}

const NOTHING: CallArguments = { positional: [], named: new Map() };

/** What every Python object has of these. */
const UNDERSCORED = new Set([
  ...[
    '__class__',
    '__doc__',
    '__init__',
    '__dir__',
    '__eq__',
    '__ne__',
    '__hash__',
    '__repr__',
    '__str__',
    '__new__',
  ],
  ...[
    '__getattribute__',
    '__setattr__',
    '__delattr__',
    '__reduce__',
    '__reduce_ex__',
    '__sizeof__',
    '__format__',
  ],
  ...[
    '__subclasshook__',
    '__init_subclass__',
    '__lt__',
    '__le__',
    '__gt__',
    '__ge__',
    '__len__',
    '__iter__',
    '__getitem__',
  ],
]);

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

function pairOf(value: Value): readonly [Value, Value] {
  const items = iterate(value);
  return items.length === 2
    ? [items[0]!, items[1]!]
    : fault('dictionary update sequence element has no length of 2');
}

const method = (name: string, call: (args: CallArguments) => Value): Callable =>
  new Callable(name, call, undefined, 'builtin_function_or_method');

function dictMethod(of: Dict, name: string): Value | undefined {
  if (name === 'items' || name === 'keys' || name === 'values')
    return method(name, (args) => {
      bind(name, args, []);
      return new View(of, name);
    });
  if (name === 'get')
    return method(name, (args) => {
      const [key, usual = null] = bind('get', args, ['key', 'default'], 1);
      return known(of.get(key!), () => usual);
    });
  return name === 'copy' ? method(name, () => new Dict(of.entries())) : undefined;
}

function sequenceMethod(of: Value[] | Tuple, name: string): Value | undefined {
  const items = iterate(of);
  if (name === 'count')
    return method(name, (args) => {
      const [value] = bind('count', args, ['value'], 1);
      return BigInt(items.filter((item) => isEqual(item, value!)).length);
    });
  if (name === 'index')
    return method(name, (args) => {
      const [value] = bind('index', args, ['value'], 1);
      const at = items.findIndex((item) => isEqual(item, value!));
      return at < 0 ? fault('the value is not in the list') : BigInt(at);
    });
  if (of instanceof Group) return name === 'grouper' ? items[0] : name === 'list' ? items[1] : undefined;
  return undefined;
}

/** The names that a macro's body reads. */
function namesIn(node: unknown, names = new Set<string>()): Set<string> {
  if (Array.isArray(node)) for (const part of node) namesIn(part, names);
  else if (typeof node === 'object' && node !== null) {
    if ((node as { kind?: string }).kind === 'name') names.add((node as { name: string }).name);
    else for (const part of Object.values(node)) namesIn(part, names);
  }
  return names;
}
