/**
 * As much of Go's text/template as templates of Ollama's take (https://pkg.go.dev/text/template): fields, variables, strings, `if` with `else
 * if`, `range`, `eq`, `and`. An oracle of its own: it shares nothing with what writes templates.
 */

type Node =
  | { readonly text: string }
  | { readonly print: string }
  | { readonly set: string; readonly to: string; readonly isNew: boolean }
  | { readonly branches: readonly (readonly [condition: string, body: Node[]])[]; readonly otherwise: Node[] }
  | { readonly range: string; readonly body: Node[] };

export interface GoMessage {
  readonly Role: string;
  readonly Content: string;
}

/** What Ollama gives a template that has `.Messages`: system messages stand among them, too. */
export function ollamaPrompt(source: string, messages: readonly GoMessage[]): string {
  const system = messages.filter(({ Role }) => Role === 'system').map(({ Content }) => Content);
  const data = { System: system.join('\n\n'), Messages: messages, Response: '' };
  const scope = new Map<string, unknown>();
  return run(parse(source), data, scope);
}

function parse(source: string): Node[] {
  const pieces = source.split(/\{\{((?:"(?:[^"\\]|\\.)*"|[^"}]|\}(?!\}))*)\}\}/);
  let at = 0;
  const block = (): { nodes: Node[]; end: string } => {
    const nodes: Node[] = [];
    while (at < pieces.length) {
      const piece = pieces[at]!;
      if (at++ % 2 === 0) {
        if (piece !== '') nodes.push({ text: piece });
        continue;
      }
      const action = piece.trim();
      if (/^(else|end)\b/.test(action)) return { nodes, end: action };
      const assigned = /^(\$\w+)\s*(:?=)\s*(.*)$/s.exec(action);
      if (assigned) nodes.push({ set: assigned[1]!, to: assigned[3]!, isNew: assigned[2] === ':=' });
      else if (action.startsWith('if ')) nodes.push(branch(action.slice(3)));
      else if (action.startsWith('range ')) {
        const { nodes: body, end } = block();
        if (end !== 'end') throw new Error(`range ends in ${end}`);
        nodes.push({ range: action.slice(6), body });
      } else nodes.push({ print: action });
    }
    return { nodes, end: '' };
  };
  const branch = (first: string): Node => {
    const branches: [string, Node[]][] = [];
    let condition: string | undefined = first;
    let otherwise: Node[] = [];
    for (;;) {
      const { nodes, end } = block();
      if (condition === undefined) otherwise = nodes;
      else branches.push([condition, nodes]);
      if (end === 'end') return { branches, otherwise };
      if (!end.startsWith('else')) throw new Error(`if ends in '${end}'`);
      condition = end.startsWith('else if ') ? end.slice(8) : undefined;
    }
  };
  const { nodes, end } = block();
  if (end !== '') throw new Error(`${end} without a beginning`);
  return nodes;
}

function run(nodes: readonly Node[], dot: unknown, scope: Map<string, unknown>): string {
  let out = '';
  for (const node of nodes) {
    if ('text' in node) out += node.text;
    else if ('print' in node) out += String(value(node.print, dot, scope));
    else if ('set' in node) {
      if (node.isNew === scope.has(node.set)) throw new Error(`${node.set}: declared twice, or never`);
      scope.set(node.set, value(node.to, dot, scope));
    } else if ('range' in node)
      for (const item of value(node.range, dot, scope) as unknown[]) out += run(node.body, item, scope);
    else {
      const taken = node.branches.find(([condition]) => isTrue(value(condition, dot, scope)));
      out += run(taken ? taken[1] : node.otherwise, dot, scope);
    }
  }
  return out;
}

const isTrue = (of: unknown): boolean => Boolean(of) && !(Array.isArray(of) && of.length === 0);

function value(text: string, dot: unknown, scope: Map<string, unknown>): unknown {
  const words = text.match(/"(?:[^"\\]|\\.)*"|[^\s]+/g) ?? [];
  const [word, ...rest] = words;
  const operands = rest.map((one) => value(one, dot, scope));
  if (word === 'eq') return operands[0] === operands[1];
  if (word === 'and') return operands.find((one) => !isTrue(one)) ?? operands.at(-1);
  if (word === undefined || rest.length > 0) throw new Error(`not known: ${text}`);
  if (word.startsWith('"')) return JSON.parse(word);
  if (word === 'true' || word === 'false') return word === 'true';
  if (word.startsWith('$')) {
    if (!scope.has(word)) throw new Error(`${word} is not declared`);
    return scope.get(word);
  }
  const field = /^\.(\w+)$/.exec(word)?.[1];
  const object = dot as Record<string, unknown>;
  if (field === undefined || !Object.hasOwn(object, field)) throw new Error(`no field ${word}`);
  return object[field];
}
