/**
 * Chat templates, as transformers 5 renders them: jinja2 3.1.6 in its sandbox with `trim_blocks`, `lstrip_blocks` and loop controls, and
 * raise_exception, strftime_now, tojson and the `generation` tag. What Python does otherwise than JavaScript it does as Python (values.ts);
 * what is not known to come out the same is refused by name. A template is somebody else's program: it can touch nothing but its messages,
 * and has limits of time and size.
 */
import { UserError } from '../../util/errors.js';
import { Interpreter } from './interpreter.js';
import { parse } from './parser.js';
import { bind, text } from './python/arguments.js';
import { print } from './python/print.js';
import { strftime } from './python/strftime.js';
import { Callable, Iterator, JinjaError, toValue, type Value } from './python/values.js';
import type { Trace } from './trace.js';
import type { Body } from './tree.js';

export type { Trace, Written, WrittenFor } from './trace.js';
/** Calls of which there are none, yet which are there: true, and nothing to go through. */
export const NO_CALLS: unknown = new Iterator([]);

/** Milliseconds that a template may run. Real ones take a few. */
const LIMIT = 5_000;

export interface RenderOptions {
  readonly now?: Date | undefined;
  readonly limit?: number | undefined;
}

/** What a template itself says of messages that it does not take. */
class Refusal extends Error {}

export class ChatTemplate {
  /** Whether its authors mark what a model writes. */
  readonly isMarked: boolean;
  readonly #body: Body;

  /** `path` says in errors where the template stands. Throws UserError for one that cannot be parsed. */
  constructor(
    readonly source: string,
    readonly path: string,
  ) {
    try {
      this.#body = parse(source);
      this.isMarked = hasMark(this.#body);
    } catch (error) {
      throw this.#fault(error, 'the chat template cannot be parsed');
    }
  }

  /** `context`: the template's variables, of JSON. `now`: what strftime_now tells, in local time. Throws UserError. */
  render(context: Readonly<Record<string, unknown>>, options: RenderOptions = {}): string {
    return this.trace(context, options).text;
  }

  /** The same text, and what of it was written for which of the context's `messages`. */
  trace(
    context: Readonly<Record<string, unknown>>,
    { now = new Date(), limit = LIMIT }: RenderOptions = {},
  ): { readonly text: string; readonly trace: Trace } {
    const functions = new Map<string, Value>([
      [
        'raise_exception',
        new Callable('raise_exception', (args) => {
          throw new Refusal(print(bind('raise_exception', args, ['message'], 1)[0]!));
        }),
      ],
      [
        'strftime_now',
        new Callable('strftime_now', (args) =>
          strftime(now, text('strftime_now', bind('strftime_now', args, ['format'], 1)[0], '')),
        ),
      ],
    ]);
    const values = new Map(
      Object.entries(context).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, toValue(value)] as const],
      ),
    );
    const interpreter = new Interpreter(values, functions, limit);
    try {
      return interpreter.render(this.#body);
    } catch (error) {
      if (error instanceof Refusal)
        throw new UserError(
          `${this.path}: the chat template refuses these messages: ${oneLine(error.message)}`,
        );
      throw this.#fault(error, 'the chat template fails on these messages', interpreter.line);
    }
  }

  #fault(error: unknown, what: string, line?: number): unknown {
    // The stack's and a string's limits are RangeErrors, too.
    if (!(error instanceof JinjaError) && !(error instanceof RangeError)) return error;
    const at = (error instanceof JinjaError ? error.line : undefined) ?? line;
    const reason = /call stack/.test(error.message)
      ? 'it is nested, or calls itself, without end'
      : error.message;
    return new UserError(
      `${this.path}${at === undefined ? '' : `, line ${at}`}: ${what}: ${oneLine(reason)}`,
    );
  }
}

const oneLine = (message: string): string => message.replace(/\p{Cc}+/gu, ' ').trim();

function hasMark(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false;
  return (node as { kind?: string }).kind === 'generation' || Object.values(node).some(hasMark);
}
