/** golden/chat: public chat templates over conversations of many kinds, as transformers rendered them with jinja2, and what their authors mark. */

import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ChatRenderer, ChatTemplate, type Message, type RenderedChat } from '../../tokenizer/index.js';
import { UserError } from '../../util/errors.js';
import { own } from '../../util/own.js';
import { readChecked } from '../../util/json.js';
import { check, type Check } from './check.js';

/** The day on which the golden texts were made; templates may print it. */
const MADE = new Date(2026, 10, 27, 12);

/** In characters, as Python counts them; the end excluded. */
const spans = z.array(z.tuple([z.int(), z.int()]));

const schema = z.object({
  conversations: z.record(z.string(), z.array(z.looseObject({ role: z.string(), content: z.string() }))),
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
          assistant_spans: spans.optional(),
          marked: z.object({ text: z.string(), assistant_spans: spans }).optional(),
        }),
      ),
    }),
  ),
});

type Case = z.infer<typeof schema>['templates'][string]['cases'][number];

export function* verifyChat(folder: string): Generator<Check> {
  const path = join(folder, 'chat.json');
  const { conversations, tools, templates } = readChecked(path, schema, 'fetch it again');
  for (const [name, { template, special_tokens, cases }] of Object.entries(templates)) {
    const chat = new ChatTemplate(template, name);
    const renderer = new ChatRenderer(chat, special_tokens, { now: MADE });
    const told = cases.map((one) => {
      const messages = own(conversations, one.conversation);
      if (!messages) throw new UserError(`${path}: there is no conversation '${one.conversation}'`);
      return { ...one, messages, offered: one.tools ? tools : undefined };
    });
    const wrong = told.filter(({ messages, offered, add_generation_prompt, text, error }) => {
      const context = { ...special_tokens, messages, add_generation_prompt, documents: null };
      try {
        return chat.render({ ...context, tools: offered ?? null }, { now: MADE }) !== text;
      } catch (fault) {
        // What jinja2 says behind the name of its error, ours says behind the template's line.
        const said = error?.replace(/^\w+: /, '');
        return !(fault instanceof UserError && said !== undefined && fault.message.includes(said));
      }
    });
    yield check(name, `${cases.length} conversations`, wrong.length, 0);
    const taken = told.filter(({ text }) => text !== undefined);
    const missed = taken.filter((one) => !hasSpans(one, one.messages, one.offered, renderer));
    yield check(name, `spans of ${taken.length} conversations`, missed.length, 0);
  }
}

function hasSpans(
  { add_generation_prompt: addGenerationPrompt, assistant_spans, marked }: Case,
  messages: readonly Message[],
  tools: readonly object[] | undefined,
  renderer: ChatRenderer,
): boolean {
  const chat = renderer.render(messages, { tools, addGenerationPrompt });
  if (assistant_spans) return isDeepStrictEqual(parts(chat), parted(chat.text, assistant_spans));
  // Where nobody marked them, there is one a turn.
  if (!marked) return chat.spans.length === messages.filter(({ role }) => role === 'assistant').length;
  // A variant that writes more for the assistant, such as an earlier turn's thinking, and the same for all others.
  const [own, wanted] = [parts(chat), parted(marked.text, marked.assistant_spans)];
  const isSaid = (k: number): boolean => k % 2 === 1;
  return (
    own.length === wanted.length &&
    own.every((part, k) => (isSaid(k) ? wanted[k]!.endsWith(part) : wanted[k] === part))
  );
}

/** What stands before, in, between and behind spans, by turns. */
function parts({ text, spans: own }: RenderedChat): string[] {
  const borders = [0, ...own.flatMap(({ start, end }) => [start, end])];
  return borders.map((from, k) => text.slice(from, borders[k + 1]));
}

function parted(text: string, of: z.infer<typeof spans>): string[] {
  const characters = Array.from(text);
  const borders = [0, ...of.flat()];
  return borders.map((from, k) => characters.slice(from, borders[k + 1]).join(''));
}
