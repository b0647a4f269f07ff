/** Texts with columns in braces: `### Sentence:{text}`. A doubled brace stands for itself. */

import { UserError } from '../util/errors.js';

export interface Template {
  /** Literal texts and columns, in turn; the first and the last are literal. */
  readonly literals: readonly string[];
  readonly columns: readonly string[];
}

/** Throws UserError, naming `where`, on a brace without its partner or an empty name. */
export function parseTemplate(text: string, where: string): Template {
  const literals: string[] = [];
  const columns: string[] = [];
  let literal = '';
  for (const [token] of text.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (token === '{{' || token === '}}') literal += token[0]!;
    else if (token === '{' || token === '}') {
      throw new UserError(
        `${where}: a '${token}' without its partner; a column is written {column}, a brace ${token}${token}`,
      );
    } else if (token.startsWith('{')) {
      const column = token.slice(1, -1).trim();
      if (column === '')
        throw new UserError(`${where}: an empty {}; name a column in it, or write {{}} for the braces`);
      literals.push(literal);
      columns.push(column);
      literal = '';
    } else literal += token;
  }
  return { literals: [...literals, literal], columns };
}

/** The template with its columns filled in. */
export function render({ literals, columns }: Template, values: Readonly<Record<string, string>>): string {
  return columns.reduce((text, column, i) => text + values[column]! + literals[i + 1]!, literals[0]!);
}
