/** Texts with columns in braces: `### Sentence:{text}`; `{input?}` may be empty or missing. A doubled brace stands for itself. */

import { UserError } from '../util/errors.js';

/** A text with columns in braces, taken apart by `parseTemplate`. */
export interface Template {
  /** Literal texts and columns, in turn; the first and the last are literal. */
  readonly literals: readonly string[];
  readonly columns: readonly string[];
  /** Those of the columns that are always written with a question mark. */
  readonly optional: readonly string[];
}

/** Throws UserError, naming `where`, on a brace without its partner or an empty name. */
export function parseTemplate(text: string, where: string): Template {
  const literals: string[] = [];
  const columns: string[] = [];
  const needed = new Set<string>();
  let literal = '';
  for (const [token] of text.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (token === '{{' || token === '}}') literal += token[0]!;
    else if (token === '{' || token === '}') {
      throw new UserError(
        `${where}: a '${token}' without its partner; a column is written {column}, a brace ${token}${token}`,
      );
    } else if (token.startsWith('{')) {
      const [column, optional] = nameIn(token);
      // What JavaScript's objects and JSON's readers have under it is not a column.
      if (column === '__proto__')
        throw new UserError(
          `${where}: the column __proto__ cannot be named in a template; write {column}, and column: __proto__ under 'columns'`,
        );
      if (column === '')
        throw new UserError(`${where}: an empty {}; name a column in it, or write {{}} for the braces`);
      literals.push(literal);
      columns.push(column);
      if (!optional) needed.add(column);
      literal = '';
    } else literal += token;
  }
  const optional = [...new Set(columns)].filter((column) => !needed.has(column));
  return { literals: [...literals, literal], columns, optional };
}

function nameIn(token: string): [column: string, optional: boolean] {
  const name = token.slice(1, -1).trim();
  return name.endsWith('?') ? [name.slice(0, -1).trim(), true] : [name, false];
}

/** The template with its columns filled in. */
export function render({ literals, columns }: Template, values: Readonly<Record<string, string>>): string {
  return columns.reduce((text, column, i) => text + values[column]! + literals[i + 1]!, literals[0]!);
}
