/** Answers of generated schemas are JSON of them, by another library's judgement. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import OpenAI from 'openai';
import { serving, type Serving } from './support.js';

/** A thousand by WESTWIND_SCHEMAS; the model draws at random, which no schema may let escape. */
const SCHEMAS = Number(process.env['WESTWIND_SCHEMAS'] ?? 25);

let s: Serving;
before(async () => (s = await serving({ max_num_seqs: 8, max_model_len: 1024, timeout: 600 })));
after(() => s.close());

const textOf = (letters: string): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from(letters)), minLength: 1, maxLength: 6 });
const word = textOf('abcdeé"\\ 7');
/** Of these two in a property's name the library makes no grammar. */
const name = textOf('abcdeé 7');

const { schema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', maxDepth: 3, withCrossShrink: true },
    fc.oneof(
      fc.constantFrom({ type: 'boolean' }, { type: 'null' }),
      fc.tuple(fc.integer({ min: -50, max: 50 }), fc.nat(200)).map(([minimum, more]) => ({
        ...{ type: 'integer', minimum, maximum: minimum + more },
      })),
      fc.tuple(fc.nat(4), fc.nat(6)).map(([minLength, more]) => ({
        ...{ type: 'string', minLength, maxLength: minLength + more },
      })),
      fc
        .constantFrom('^[a-c]{2,4}$', '^\\d{4}-\\d{2}$', '^(yes|no)$')
        .map((pattern) => ({ type: 'string', pattern })),
      fc
        .uniqueArray(fc.oneof(word, fc.integer(), fc.boolean()), { minLength: 1, maxLength: 4 })
        .map((values) => ({
          enum: values,
        })),
      word.map((value) => ({ const: value })),
    ),
    fc.tuple(tie('schema'), fc.nat(2), fc.nat(2)).map(([items, minItems, more]) => ({
      ...{ type: 'array', items, minItems, maxItems: minItems + more },
    })),
    fc.uniqueArray(fc.tuple(name, tie('schema')), { maxLength: 4, selector: ([key]) => key }).map((list) => ({
      ...{ type: 'object', properties: Object.fromEntries(list), additionalProperties: false },
      required: list.flatMap(([key], i) => (i % 2 === 0 ? [key] : [])),
    })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
}));

/** Clients call a seed deprecated, and it is what draws can be had again by. */
const seeded = (seed: number): object => ({ seed });

const format = (of: object) => ({
  type: 'json_schema' as const,
  json_schema: { name: 'x', schema: of as Record<string, unknown> },
});

test('whatever the schema, an answer that ends is of it', async () => {
  const all = fc.sample(schema, { numRuns: SCHEMAS, seed: Number(process.env['WESTWIND_SEED'] ?? 11) });
  let ended = 0;
  const rest = all.entries();
  // Fewer side by side than the server lets wait.
  const ask = async (): Promise<void> => {
    for (const [seed, one] of rest) {
      // A connection may be closed just as it is taken again.
      const { choices } = await s.client.withOptions({ maxRetries: 2 }).chat.completions.create({
        ...{ model: seed % 2 ? 'base' : 'tuned', messages: [{ role: 'user', content: 'Anything.' }] },
        ...seeded(seed),
        ...{ max_completion_tokens: 600, response_format: format(one), temperature: 1 },
      });
      const { message, finish_reason } = choices[0]!;
      if (finish_reason !== 'stop') continue;
      ended++;
      const value = JSON.parse(message.content!) as unknown;
      const judge = new Ajv2020({ strict: false });
      assert.ok(judge.validate(one, value), `${JSON.stringify(one)}: ${message.content!}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, ask));
  assert.ok(ended > 0.9 * SCHEMAS, `${ended} of ${SCHEMAS}`);
});

test('json_object is any object', async () => {
  const { choices } = await s.client.chat.completions.create({
    ...{ model: 'base', messages: [{ role: 'user', content: 'Hm' }], max_completion_tokens: 600 },
    ...seeded(4),
    response_format: { type: 'json_object' },
  });
  if (choices[0]!.finish_reason === 'stop')
    assert.equal(typeof JSON.parse(choices[0]!.message.content!), 'object');
});

test('a schema that cannot be held to is refused by name, and others go on', async () => {
  const ask = (of: object) =>
    s.client.chat.completions.create({
      ...{ model: 'base', messages: [{ role: 'user', content: 'Hm' }], max_completion_tokens: 60 },
      ...{ response_format: format(of) },
      ...seeded(3),
    });
  const good = Array.from({ length: 4 }, () => ask({ type: 'boolean' }));
  for (const [of, why] of [
    [{ oneOf: [{ type: 'null' }] }, /schema\.oneOf is not supported/],
    [{ type: 'object', properties: { a: { not: {} } } }, /schema\.properties\.a\.not is not supported/],
    [{ type: 'text' }, /schema\.type is none of object/],
    [{ $ref: '#/$defs/x' }, /schema\.\$ref leads nowhere/],
    [{ type: 'object', properties: { 'a\\': {} } }, /schema\.properties has a name with a quotation mark/],
    [{ type: 'string', pattern: '(' }, /the schema cannot be held to/],
  ] as const)
    await assert.rejects(ask(of), (error: unknown) => {
      assert.ok(error instanceof OpenAI.BadRequestError, String(error));
      assert.match(error.message, why);
      return true;
    });
  for (const { choices } of await Promise.all(good))
    assert.match(choices[0]!.message.content!, /^(true|false)$/);
  assert.match((await ask({ type: 'boolean' })).choices[0]!.message.content!, /^(true|false)$/);
});
