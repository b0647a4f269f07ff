/** The folder of stories260K: a trained model's logits and greedy text, as its reference implementation gives them. */

import { join } from 'node:path';
import { z } from 'zod';
import { Pass } from '../../ops/pass.js';
import type { Backend } from '../../backends/contract.js';
import { generate } from '../../generate/generate.js';
import { loadModel } from '../../models/load.js';
import { forward } from '../../models/model.js';
import { linear } from '../../ops/linear.js';
import { Tokenizer } from '../../tokenizer/index.js';
import { modelInput } from '../../train/batch.js';
import { readChecked } from '../../util/json.js';
import { check, maxAbs, maxDifference, mismatch, type Check } from './check.js';

const greedySchema = z.object({ greedy_ids_from_bos: z.array(z.int()), text: z.string() });
const logitsSchema = z.object({ prefix: z.array(z.int()), logits_last: z.array(z.number()) });

export async function* verifyStories(
  backend: Backend,
  folder: string,
  subject: string,
): AsyncGenerator<Check> {
  const read = <T>(name: string, schema: z.ZodType<T>): T =>
    readChecked(join(folder, name), schema, 'fetch it again');
  const greedy = read('reference_greedy.json', greedySchema);
  const { prefix, logits_last } = read('reference_logits.json', logitsSchema);
  const tokenizer = Tokenizer.load(folder);
  const model = await loadModel(backend, folder, { dtype: 'f32' });
  const g = new Pass(backend);
  try {
    const length = prefix.length;
    const hidden = forward(
      model,
      g,
      modelInput(g, {
        ids: Int32Array.from(prefix),
        positions: Int32Array.from(prefix.keys()),
        segments: new Int32Array(length),
      }),
    );
    const logits = await linear(g, hidden, model.head).toFloat32();
    const last = logits.subarray(-logits_last.length);
    yield check(subject, 'logits', maxDifference(last, logits_last) / maxAbs(logits_last), 2e-5);
    const [bos, ...expected] = greedy.greedy_ids_from_bos;
    for await (const { tokens } of generate(model, [{ index: 0, ids: [bos!] }], {
      stopTokens: [],
      max_new_tokens: expected.length,
    })) {
      yield check(subject, 'greedy tokens', mismatch(tokens, expected), 0);
      yield check(subject, 'text', tokenizer.decode([bos!, ...tokens]) === greedy.text ? 0 : 1, 0);
    }
  } finally {
    g.close();
    model.dispose();
  }
}
