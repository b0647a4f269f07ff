/** `westwind generate`: answers to prompts, from the command line, a file or standard input. */

import { constants } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { readFault } from '../files/index.js';
import { generate } from '../generate/generate.js';
import type { Prompt } from '../generate/prompts.js';
import { stopTokens } from '../generate/stop-tokens.js';
import { encodePrompts } from '../tasks/index.js';
import { GrowingText, type Message, type Tokenizer } from '../tokenizer/index.js';
import { UserError } from '../util/errors.js';
import { readTableBytes } from '../util/read.js';
import { positiveInteger } from './device.js';
import { conversationsOf } from './conversations.js';
import type { Verb } from './main.js';
import {
  loadFrom,
  modelFiles,
  modelOptions,
  samplingOf,
  samplingOptions,
  type ModelFlags,
  type SamplingFlags,
} from './model.js';
import { sayJson, sayText } from './output.js';

interface Flags extends ModelFlags, SamplingFlags {
  readonly prompt?: string[];
  readonly file?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly batchSize: number;
  readonly json?: boolean;
}

export const verb: Verb = (command) => {
  modelOptions(command)
    .option('-p, --prompt <text...>', 'the prompt, or several')
    .option(
      '-f, --file <path>',
      'prompts from a file, one a line, or a JSON array; with --chat a JSON array of messages, or a conversation a line; - reads standard input',
    )
    .option('--chat', "by the model's chat template: each prompt is the user's message")
    .option('--system <text>', 'with --chat: a system message');
  samplingOptions(command, 100)
    .option('--batch-size <n>', 'answers at once', positiveInteger, 16)
    .option('--json', 'one JSON object a line')
    .action(async (name: string, flags: Flags) => {
      if (flags.system !== undefined && !flags.chat) throw new UserError('--system goes with --chat');
      const asked = await questionsOf(flags);
      const files = await modelFiles(name, flags);
      const { folder, tokenizer } = files;
      const all = await encode(tokenizer, asked, flags);
      const prompts = all.map((ids, index): Prompt => ({ index, ids }));
      const model = await loadFrom(files, flags);
      const shown =
        prompts.length === 1 && !flags.json ? new GrowingText(tokenizer.stream(), [], sayText) : undefined;
      const answers = generate(model, prompts, {
        ...samplingOf(flags),
        max_new_tokens: flags.maxNewTokens,
        batch_size: flags.batchSize,
        stopTokens: stopTokens(folder, tokenizer.eosId),
        ...(shown && { onToken: (_, token) => shown.push(token) }),
      });
      for await (const { index, tokens, finish } of answers) {
        if (shown) {
          await shown.end();
          sayText('\n');
          continue;
        }
        const text = tokenizer.decode(tokens);
        if (flags.json)
          sayJson({
            index,
            ...(typeof asked[index] === 'string' ? { prompt: asked[index] } : { messages: asked[index] }),
            answer: text,
            finish,
          });
        else sayText(`[${index}] ${text}\n`);
      }
      model.dispose();
    });
};

/** A prompt, or the messages so far. */
type Question = string | readonly Message[];

function encode(
  tokenizer: Tokenizer,
  asked: readonly Question[],
  { chat, system }: Flags,
): Promise<number[][]> {
  const texts = asked.filter((one) => typeof one === 'string');
  if (!chat && texts.length === asked.length)
    return tokenizer.decoderStartId === undefined
      ? tokenizer.encodeBatch(texts)
      : encodePrompts(tokenizer, texts);
  const before: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  const laidOut = asked.map((one) => {
    const messages = typeof one === 'string' ? [{ role: 'user', content: one }] : one;
    return tokenizer.applyChatTemplate([...before, ...messages], { addGenerationPrompt: true });
  });
  // The template writes the special tokens itself.
  return tokenizer.encodeBatch(laidOut, { addSpecialTokens: false });
}

async function questionsOf({ prompt, file, chat, system }: Flags): Promise<Question[]> {
  if (prompt !== undefined) return prompt;
  if (file === undefined) throw new UserError('there is no prompt: give --prompt or --file');
  let text: string;
  try {
    text =
      file === '-'
        ? readFileSync(0, 'utf8')
        : (await readTableBytes(file, constants.MAX_STRING_LENGTH)).toString('utf8');
  } catch (error) {
    throw readFault(file, error);
  }
  // Editors on Windows write one.
  text = text.replace(/^\uFEFF/, '');
  const source = file === '-' ? 'standard input' : file;
  const conversations = conversationsOf(text, source, chat);
  if (conversations !== undefined) {
    if (!chat)
      throw new UserError(`${source} holds a chat's messages, which go by the model's template: say --chat`);
    if (system !== undefined && conversations.some(([first]) => first?.role === 'system'))
      throw new UserError(`${source} has a system message of its own: leave out --system`);
    return conversations;
  }
  if (text.trimStart().startsWith('[')) {
    try {
      const list: unknown = JSON.parse(text);
      if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
    } catch {
      // Then it is text that happens to begin with a bracket.
    }
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) throw new UserError(`${source} holds no prompt`);
  return lines;
}
