/**
 * The thread that has the grammars: XGrammar (Dong et al., 2024, https://arxiv.org/abs/2411.15100) as its authors compile it to
 * WebAssembly. A grammar takes a while to compile, and its library ends with the thread where a schema is beyond it.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileFunction, constants } from 'node:vm';
import { workerData, type MessagePort } from 'node:worker_threads';
import type * as XGrammar from '@mlc-ai/web-xgrammar';
import type { GrammarOrder, GrammarReply } from './protocol.js';
import { JsonText } from './json-text.js';

const { port } = workerData as { port: MessagePort };
const { TokenizerInfo, GrammarCompiler, GrammarMatcher } = library();

/** By tokenizer. */
const compilers = new Map<number, { readonly compiler: XGrammar.GrammarCompiler; readonly text: JsonText }>();
/** By answer. */
const matchers = new Map<number, { readonly matcher: XGrammar.GrammarMatcher; readonly text: JsonText }>();

/** The package says that it is ESM, and is a CommonJS module. */
function library(): typeof XGrammar {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@mlc-ai/web-xgrammar');
  const module = { exports: {} };
  const run = compileFunction(readFileSync(path, 'utf8'), ['module', 'exports', 'require', '__filename'], {
    filename: path,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }) as (...given: unknown[]) => void;
  run(module, module.exports, require, path);
  return module.exports as typeof XGrammar;
}

async function take(order: GrammarOrder): Promise<Int32Array | undefined> {
  if (order.do === 'tokens') {
    const { tokens, spelling, stops } = order.of;
    const info = await TokenizerInfo.createTokenizerInfo([...tokens], spelling, false, tokens.length, [
      ...stops,
    ]);
    const compiler = await GrammarCompiler.createGrammarCompiler(info);
    compilers.set(order.tokens, { compiler, text: new JsonText(order.of) });
    return undefined;
  }
  if (order.do === 'begin') {
    const { schema, isOpen } = order;
    const { compiler, text } = compilers.get(order.tokens)!;
    // On one line, as Python writes it: white space that means nothing would have no end.
    const grammar = await compiler.compileJSONSchema(schema, false, -1, [', ', ': '], !isOpen);
    const matcher = await GrammarMatcher.createGrammarMatcher(grammar);
    matchers.set(order.matcher, { matcher, text });
    return maskOf(order.matcher);
  }
  const { matcher } = matchers.get(order.matcher)!;
  if (order.do === 'accept') {
    if (!matcher.acceptToken(order.token)) throw new Error(`token ${order.token} is none of the grammar’s`);
    return matcher.isTerminated() ? undefined : maskOf(order.matcher, order.token);
  }
  matcher.dispose();
  matchers.delete(order.matcher);
  return undefined;
}

/** What may come next, behind a token. */
async function maskOf(number: number, token?: number): Promise<Int32Array> {
  const { matcher, text } = matchers.get(number)!;
  const mask = await matcher.getNextTokenBitmask();
  text.forbid(mask, token);
  return mask;
}

/** One after the other. */
let before: Promise<unknown> = Promise.resolve();

port.on('message', ({ call, order }: { readonly call: number; readonly order: GrammarOrder }) => {
  before = before.then(async () => {
    let reply: GrammarReply;
    try {
      const mask = await take(order);
      reply = { call, ...(mask && { mask }) };
    } catch (error) {
      reply = { call, error: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
  });
});
