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

const { port } = workerData as { port: MessagePort };
const { TokenizerInfo, GrammarCompiler, GrammarMatcher } = library();

const compilers = new Map<number, XGrammar.GrammarCompiler>();
const matchers = new Map<number, XGrammar.GrammarMatcher>();

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
    compilers.set(order.tokens, await GrammarCompiler.createGrammarCompiler(info));
    return undefined;
  }
  if (order.do === 'begin') {
    const { schema, isOpen } = order;
    // On one line, as Python writes it: white space that means nothing would have no end.
    const grammar = await compilers
      .get(order.tokens)!
      .compileJSONSchema(schema, false, -1, [', ', ': '], !isOpen);
    const matcher = await GrammarMatcher.createGrammarMatcher(grammar);
    matchers.set(order.matcher, matcher);
    return matcher.getNextTokenBitmask();
  }
  const matcher = matchers.get(order.matcher)!;
  if (order.do === 'accept') {
    if (!matcher.acceptToken(order.token)) throw new Error(`token ${order.token} is none of the grammar’s`);
    return matcher.isTerminated() ? undefined : matcher.getNextTokenBitmask();
  }
  matcher.dispose();
  matchers.delete(order.matcher);
  return undefined;
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
