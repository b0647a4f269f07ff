/**
 * A configuration's text as a plain value that remembers its lines. YAML 1.2's core types and nothing beyond: no tags, no aliases (they
 * can make a kilobyte expand to gigabytes), bounded size and nesting. JSON is read as the YAML that it is.
 */

import { CST, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, type Document } from 'yaml';
import { UserError } from '../../util/errors.js';
import type { Path } from './problems.js';

/** Far more than any configuration needs. */
const MAX_CHARACTERS = 1_000_000;
const MAX_NESTING = 32;

export interface ConfigDocument {
  readonly value: unknown;
  /** The line, from 1, of the key at `path`, or of the nearest one above it that there is; and how many of the path's keys there are. */
  find(path: Path): { readonly line: number; readonly depth: number };
}

/** Throws UserError, a line for each problem, naming `name` and the line. */
export function parseConfigDocument(text: string, name: string): ConfigDocument {
  if (text.length > MAX_CHARACTERS) {
    throw new UserError(
      `${name} is too large for a configuration: it has more than ${MAX_CHARACTERS} characters`,
    );
  }
  checkNesting(text, name);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    version: '1.2',
    merge: false,
  });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    const messages = faults.map(({ code, message, pos }) => {
      const [start] = pos;
      return `${name}:${lines.linePos(start).line}: ${faultText(code, message, text.slice(start, start + 60))}`;
    });
    throw new UserError([...new Set(messages)].slice(0, 20));
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    throw new UserError(`${name} is empty; 'westwind init' writes a configuration to start from`);
  }
  if (!isMap(document.contents)) {
    throw new UserError(
      `${name}:1: a configuration is a mapping of keys to values ('key: value', a line each)`,
    );
  }
  checkNodes(document, lines, name);
  return {
    value: document.toJS({ maxAliasCount: 0 }) as unknown,
    find: (path) => {
      const { offset, depth } = offsetOf(document, path);
      return { line: lines.linePos(offset).line, depth };
    },
  };
}

/** The parser calls itself for each level, so levels are counted before: by the lexer, which does not. */
function checkNesting(text: string, name: string): void {
  let line = 1;
  let flow = 0;
  let inLine = 0;
  for (const token of new Lexer().lex(text)) {
    const type = CST.tokenType(token);
    if (type === 'flow-map-start' || type === 'flow-seq-start') flow++;
    if (type === 'flow-map-end' || type === 'flow-seq-end') flow--;
    // Within a flow's brackets a colon opens no level; a dash is a fault there, behind which the parser goes on as in a block.
    if (type === 'seq-item-ind' || type === 'explicit-key-ind' || (type === 'map-value-ind' && flow === 0))
      inLine++;
    // A level of a block is a column at least.
    const deep = type === 'space' && token.length > 20 * MAX_NESTING && inLine === 0;
    if (flow > MAX_NESTING || inLine > MAX_NESTING || deep) {
      throw new UserError(`${name}:${line}: nested too deeply for a configuration`);
    }
    if (token.includes('\n')) {
      line += token.split('\n').length - 1;
      inLine = 0;
    }
  }
}

/** Throws UserError on aliases, and on keys that are no plain text. */
function checkNodes(document: Document, lines: LineCounter, name: string): void {
  const waiting: unknown[] = [document.contents];
  const refuse = (offset: number | undefined, message: string): never => {
    throw new UserError(`${name}:${lines.linePos(offset ?? 0).line}: ${message}`);
  };
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        if (!isScalar(key) || key.value === null)
          refuse(offsetOfNode(key) ?? offsetOfNode(node), 'a key is missing, or is not a plain text');
        // Objects lose it on their way through the schema.
        else if (key.value === '__proto__')
          refuse(offsetOfNode(key), 'the key __proto__ cannot be read: choose another name');
        waiting.push(value);
      }
    } else if (isSeq(node)) waiting.push(...node.items);
    else if (node !== null && !isScalar(node)) {
      refuse(offsetOfNode(node), 'aliases (*name) are not supported: write the value out');
    }
  }
}

function offsetOf(document: Document, path: Path): { offset: number; depth: number } {
  let node: unknown = document.contents;
  let offset = 0;
  let depth = 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) break;
      offset = offsetOfNode(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof key === 'number' && key < node.items.length) {
      node = node.items[key];
      offset = offsetOfNode(node) ?? offset;
    } else break;
    depth++;
  }
  return { offset, depth };
}

function offsetOfNode(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined;
}

function faultText(code: string, message: string, text: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return `the key ${/^["']?([\w.-]*)/.exec(text)![1]!} is there twice`;
    case 'TAB_AS_INDENT':
      return 'a tab is used to indent; YAML wants spaces';
    case 'MULTIPLE_DOCS':
      return "a second document begins here ('---'); a configuration is one";
    case 'TAG_RESOLVE_FAILED':
      return `the tag ${text.split(/[\s,\]}]/, 1)[0]!} is not supported: remove it`;
    default:
      return `not valid YAML: ${message.split('\n')[0]!}`;
  }
}
