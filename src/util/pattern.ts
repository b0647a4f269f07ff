/**
 * Regular expressions that files and users bring, as Python's `re` takes them: the syntax that differs is translated, and what runs without
 * end is ended. V8's matcher backtracks, and asks for interrupts while it does: a script with a limit of time can therefore stop it.
 */

import { createContext, Script, type Context } from 'node:vm';
import { UserError } from './errors.js';

/** Milliseconds that an expression may take over all the texts of a call. */
const LIMIT = 2000;

let context: Context | undefined;
const script = new Script('texts.map((text) => expression.test(text))');

export class Pattern {
  private readonly expression: RegExp;

  /**
   * @param before, after what stands around the expression, in JavaScript's syntax
   * @param where what it is called in messages: a file and a field
   * Throws UserError for what is no regular expression, or one that JavaScript has not.
   */
  constructor(
    private readonly text: string,
    private readonly where: string,
    { before = '', after = '' }: { readonly before?: string; readonly after?: string } = {},
  ) {
    const { source, flags } = this.translate(before === '');
    try {
      this.expression = new RegExp(`^(?:${before}(?:${source})${after})$`, flags);
    } catch {
      throw this.fault('is not a regular expression');
    }
  }

  /** Which of the texts it matches as a whole. Throws UserError where that takes longer than `limit` milliseconds. */
  matches(texts: readonly string[], limit = LIMIT): boolean[] {
    const { expression } = this;
    // Nothing to repeat, nothing to go back over.
    if (!/[*+?{]/.test(this.text)) return texts.map((text) => expression.test(text));
    context ??= createContext({});
    Object.assign(context, { expression, texts });
    try {
      return script.runInContext(context, { timeout: limit }) as boolean[];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      throw this.fault(
        `was ended after ${limit} ms: it goes back over the same text again and again; write it without repetitions in repetitions`,
      );
    }
  }

  private fault(what: string): UserError {
    const shown = this.text.length > 80 ? `${this.text.slice(0, 77)}...` : this.text;
    return new UserError(`${this.where}: ${JSON.stringify(shown)} ${what}`);
  }

  /** `flagged`: flags may stand at its start, which they do not where something is put before it. */
  private translate(flagged: boolean): { source: string; flags: string } {
    let flags = '';
    let rest = this.text;
    for (
      let lead;
      flagged && (lead = /^\(\?([aimsu]+)\)/.exec(rest)) !== null;
      rest = rest.slice(lead[0].length)
    )
      flags += lead[1]!.replace(/[au]/g, '');
    let source = '';
    let inClass = false;
    for (let i = 0; i < rest.length; i++) {
      const c = rest[i]!;
      const at = rest.slice(i);
      const group = inClass ? undefined : GROUPS.find(([python]) => python.test(at));
      if (c === '\\') {
        const next = rest[++i] ?? '';
        if (!inClass && next === 'A') source += '(?<![\\s\\S])';
        else if (!inClass && next === 'Z') source += '(?![\\s\\S])';
        else source += c + next;
      } else if (group !== undefined) {
        const [python, js] = group;
        const found = python.exec(at)!;
        source += js.replace('$1', found[1] ?? '');
        i += found[0].length - 1;
      } else if (inClass) {
        inClass = c !== ']';
        source += c;
      } else if (c === '[') {
        inClass = true;
        const [start] = /^\[\^?\]?/.exec(at)!;
        source += start.replace(']', '\\]');
        i += start.length - 1;
      } else source += c;
    }
    return { source, flags: [...new Set(flags)].join('') };
  }
}

/** What Python writes otherwise outside of classes. */
const GROUPS: readonly (readonly [RegExp, string])[] = [
  [/^\(\?P<(\w+)>/, '(?<$1>'],
  [/^\(\?P=(\w+)\)/, '\\k<$1>'],
  [/^\(\?#[^)]*\)/, ''],
  [/^\{,(\d+)\}/, '{0,$1}'],
];
