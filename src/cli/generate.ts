/** `westwind generate`: answers to prompts, from the command line, a file or standard input. */

import { constants } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bringsTokenizer } from '../adapters/file.js';
import { loadAdapter, readAdapterConfig } from '../adapters/peft.js';
import { isAdapterFolder } from '../adapters/merge.js';
import { readFault, resolveModel } from '../files/index.js';
import { generate } from '../generate/generate.js';
import type { Prompt } from '../generate/prompts.js';
import { stopTokens } from '../generate/stop-tokens.js';
import { loadModel } from '../models/load.js';
import { encodePrompts } from '../tasks/index.js';
import { Tokenizer, type Message, type TextStream } from '../tokenizer/index.js';
import { UserError } from '../util/errors.js';
import { readTableBytes } from '../util/read.js';
import {
  deviceOptions,
  nonNegative,
  nonNegativeInteger,
  openBackend,
  positiveInteger,
  type DeviceFlags,
} from './device.js';
import { conversationsOf } from './conversations.js';
import type { Verb } from './main.js';
import { sayJson, sayText } from './output.js';

interface Flags extends DeviceFlags {
  readonly adapter?: string;
  readonly revision?: string;
  readonly prompt?: string[];
  readonly file?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly loadIn4bit?: boolean;
  readonly json?: boolean;
}

export const verb: Verb = (command) => {
  deviceOptions(command)
    .argument('<model>', 'a model folder, a name on the hub, or an adapter folder that names its base model')
    .option('-a, --adapter <dir>', 'a LoRA adapter in PEFT format')
    .option('--revision <name>', "a branch, tag or commit of the hub's model")
    .option('-p, --prompt <text...>', 'the prompt, or several')
    .option(
      '-f, --file <path>',
      'prompts from a file, one a line, or a JSON array; with --chat a JSON array of messages, or a conversation a line; - reads standard input',
    )
    .option('--chat', "by the model's chat template: each prompt is the user's message")
    .option('--system <text>', 'with --chat: a system message')
    .option('-n, --max-new-tokens <n>', 'the longest answer', positiveInteger, 100)
    .option('-t, --temperature <x>', '0 takes the likeliest token', nonNegative, 0)
    .option('--top-p <x>', 'draw from the likeliest tokens that make up this probability', nonNegative, 1)
    .option('--top-k <n>', 'draw from so many likeliest tokens; 0: all', nonNegativeInteger, 0)
    .option('--seed <n>', 'for draws', nonNegativeInteger, 0)
    .option('--batch-size <n>', 'answers at once', positiveInteger, 16)
    .option('--load-in-4bit', 'quantize the weights to NF4 on loading')
    .option('--json', 'one JSON object a line')
    .action(async (name: string, flags: Flags) => {
      if (flags.system !== undefined && !flags.chat) throw new UserError('--system goes with --chat');
      const asked = await questionsOf(flags);
      const adapter = flags.adapter ?? (isAdapterFolder(name) ? name : undefined);
      const base = flags.adapter === undefined && adapter !== undefined ? baseOf(adapter) : name;
      const folder = await resolveModel(base, { revision: flags.revision });
      const own = Tokenizer.load(folder);
      // An encoder's start token stands in the base's folder alone.
      const added = adapter !== undefined && own.decoderStartId === undefined && bringsTokenizer(adapter);
      const tokenizer = added ? Tokenizer.load(adapter) : own;
      const all = await encode(tokenizer, asked, flags);
      const prompts = all.map((ids, index): Prompt => ({ index, ids }));
      const backend = await openBackend(flags);
      const model = await loadModel(
        backend,
        folder,
        flags.loadIn4bit ? { quantization: { doubleQuant: true } } : {},
      );
      if (adapter !== undefined) loadAdapter(model, adapter);
      const shown = prompts.length === 1 && !flags.json ? new Shown(tokenizer.stream()) : undefined;
      const answers = generate(model, prompts, {
        do_sample: flags.temperature > 0,
        temperature: flags.temperature,
        top_p: flags.topP,
        top_k: flags.topK,
        seed: flags.seed,
        max_new_tokens: flags.maxNewTokens,
        batch_size: flags.batchSize,
        stopTokens: stopTokens(folder, tokenizer.eosId),
        ...(shown && { onToken: (_, token) => shown.push(token) }),
      });
      for await (const { index, tokens, finish } of answers) {
        if (shown) {
          await shown.end();
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

/** An answer that is shown as it grows: decoded while the model is at the next tokens. */
class Shown {
  #waiting: number[] = [];
  #showing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(private readonly stream: TextStream) {}

  push(token: number): void {
    if (this.#failure) throw this.#failure.error;
    this.#waiting.push(token);
    this.#showing ??= this.#show();
    this.#showing.catch((error: unknown) => (this.#failure = { error }));
  }

  async end(): Promise<void> {
    await this.#showing;
    sayText(this.stream.end() + '\n');
  }

  async #show(): Promise<void> {
    while (this.#waiting.length > 0) {
      const tokens = this.#waiting;
      this.#waiting = [];
      await this.stream.prepare(tokens);
      for (const token of tokens) sayText(this.stream.push(token));
    }
    this.#showing = undefined;
  }
}

function baseOf(adapter: string): string {
  const name = readAdapterConfig(adapter).base_model_name_or_path;
  if (name == null)
    throw new UserError(
      `${join(adapter, 'adapter_config.json')} names no base model: give the model and --adapter`,
    );
  return name;
}

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
