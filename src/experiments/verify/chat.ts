/** golden/chat: public chat templates over conversations of many kinds, as transformers rendered them with jinja2. */

import { join } from 'node:path';
import { z } from 'zod';
import { ChatTemplate } from '../../tokenizer/index.js';
import { UserError } from '../../util/errors.js';
import { own } from '../../util/own.js';
import { readChecked } from '../../util/json.js';
import { check, type Check } from './check.js';

/** The day on which the golden texts were made; templates may print it. */
const MADE = new Date(2026, 10, 27, 12);

const schema = z.object({
  conversations: z.record(z.string(), z.array(z.record(z.string(), z.unknown()))),
  tools: z.array(z.record(z.string(), z.unknown())),
  templates: z.record(
    z.string(),
    z.object({
      template: z.string(),
      special_tokens: z.record(z.string(), z.unknown()),
      cases: z.array(
        z.object({
          conversation: z.string(),
          tools: z.boolean(),
          add_generation_prompt: z.boolean(),
          text: z.string().optional(),
          error: z.string().optional(),
        }),
      ),
    }),
  ),
});

export function* verifyChat(folder: string): Generator<Check> {
  const path = join(folder, 'chat.json');
  const { conversations, tools, templates } = readChecked(path, schema, 'fetch it again');
  for (const [name, { template, special_tokens, cases }] of Object.entries(templates)) {
    const chat = new ChatTemplate(template, name);
    const wrong = cases.filter(({ conversation, tools: offered, add_generation_prompt, text, error }) => {
      const messages = own(conversations, conversation);
      if (!messages) throw new UserError(`${path}: there is no conversation '${conversation}'`);
      const context = { ...special_tokens, messages, add_generation_prompt, documents: null };
      try {
        return chat.render({ ...context, tools: offered ? tools : null }, { now: MADE }) !== text;
      } catch (fault) {
        // What jinja2 says behind the name of its error, ours says behind the template's line.
        const said = error?.replace(/^\w+: /, '');
        return !(fault instanceof UserError && said !== undefined && fault.message.includes(said));
      }
    });
    yield check(name, `${cases.length} conversations`, wrong.length, 0);
  }
}
