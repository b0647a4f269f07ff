/**
 * The process with the engines. The Rust library ends its process where it gives up, as over a pattern that backtracks without end or
 * a table that is damaged; here that costs one order, and what runs too long can be killed.
 */
import { messageOf } from '../../util/errors.js';
import { nativeEngine, nativeLibrary } from './native.js';
import { isFailure, type Call, type Engine, type Failure, type Reply, type Result } from './protocol.js';
import { scriptEngine } from './script.js';

const library = nativeLibrary();
const engines = new Map<number, Engine>();

async function follow({ order }: Call): Promise<Result | Failure> {
  try {
    if (order.do === 'load') {
      const engine = library ? nativeEngine(library, order.json) : scriptEngine(order.json);
      engines.set(order.key, engine);
      return { added: engine.added };
    }
    if (order.do === 'unload') {
      engines.delete(order.key);
      return { done: true };
    }
    const engine = engines.get(order.key)!;
    return order.do === 'encode'
      ? await engine.encode(order)
      : { texts: await engine.decode(order.all, order.skip) };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

process.on('message', (call: Call) => {
  void follow(call).then((result) => {
    const reply: Reply = { call: call.call, result };
    process.send!(reply, (error: Error | null) => {
      if (error && !isFailure(result)) process.exit(1);
    });
  });
});
// Ctrl-C reaches every process of the terminal; this one ends when its parent does, whatever it is at.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.send!('ready');
