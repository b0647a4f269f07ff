/** `westwind chat`: a conversation with a model, in the terminal or a message a line through a pipe. */

import { createInterface, type Interface } from 'node:readline';
import { UserError } from '../util/errors.js';
import { own } from '../util/own.js';
import { readText } from '../util/read.js';
import { Dialogue } from './dialogue.js';
import type { Verb } from './main.js';
import {
  loadFrom,
  modelFiles,
  modelOptions,
  samplingOptions,
  type ModelFlags,
  type SamplingFlags,
} from './model.js';
import { say, warn } from './output.js';

interface Flags extends ModelFlags, SamplingFlags {
  readonly system?: string;
  readonly chatTemplate?: string;
}

export const verb: Verb = (command) => {
  samplingOptions(modelOptions(command), 512)
    .option('--system <text>', 'a system message')
    .option('--chat-template <file>', "a chat template in Jinja, in the place of the model's own")
    .action(async (name: string, flags: Flags) => {
      const files = await modelFiles(name, flags);
      const template = flags.chatTemplate === undefined ? undefined : readText(flags.chatTemplate);
      if (template === undefined && !files.tokenizer.hasChatTemplate)
        warn(
          `${files.tokenizer.folder} has no chat template: the chat is laid out as ChatML; --chat-template names another`,
        );
      const model = await loadFrom(files, flags);
      const dialogue = new Dialogue(model, files, flags, { template, system: flags.system });
      try {
        await new Talk(dialogue).run();
      } finally {
        await dialogue.close();
        model.dispose();
      }
    });
};

interface ChatCommand {
  /** What follows it, for /help. */
  readonly takes?: string;
  readonly about: string;
  /** Whether the chat is at its end. */
  readonly run: (dialogue: Dialogue, text: string) => boolean;
}

const COMMANDS: Readonly<Record<string, ChatCommand>> = {
  '/reset': {
    about: 'begin anew',
    run(dialogue) {
      dialogue.reset();
      return false;
    },
  },
  '/system': {
    takes: 'TEXT',
    about: 'begin anew with this system message, or with none',
    run(dialogue, text) {
      dialogue.reset(text);
      return false;
    },
  },
  '/help': {
    about: 'this list',
    run() {
      for (const [name, { takes, about }] of Object.entries(COMMANDS))
        say(`${[name, takes].filter(Boolean).join(' ').padEnd(14)} ${about}`);
      say('Ctrl-C         end an answer; once more: end the chat');
      return false;
    },
  },
  '/exit': { about: 'end the chat', run: () => true },
};

/** As a shell tells of a command that was ended by SIGINT. */
const INTERRUPTED = 130;

/** The chat's side of the person: lines, keys and signals. */
class Talk {
  private readonly isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  private readonly lines: Interface;
  private answering: AbortController | undefined;
  /** Ctrl-C was pressed, and nothing said since. */
  private pressed = false;

  constructor(private readonly dialogue: Dialogue) {
    this.lines = createInterface({
      input: process.stdin,
      ...(this.isTerminal && { output: process.stdout }),
      terminal: this.isTerminal,
      prompt: '> ',
      historySize: 1000,
    });
  }

  async run(): Promise<void> {
    if (this.isTerminal) say('/help lists what there is beside talking');
    const interrupt = (): void => this.interrupt();
    // A terminal in raw mode gives the key, a shell's kill and a pipe the signal.
    this.lines.on('SIGINT', interrupt);
    process.on('SIGINT', interrupt);
    try {
      this.ask();
      for await (const line of this.lines) {
        this.pressed = false;
        if (await this.take(line)) break;
        this.ask();
      }
    } finally {
      process.off('SIGINT', interrupt);
      this.lines.close();
    }
  }

  private ask(): void {
    if (this.isTerminal) this.lines.prompt();
  }

  /** Whether the chat is at its end. */
  private async take(line: string): Promise<boolean> {
    const text = line.trim();
    if (text === '') return false;
    const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(text)!;
    try {
      // A message may begin with a path, say.
      if (line.startsWith('/') && !name.slice(1).includes('/'))
        return commandOf(name).run(this.dialogue, rest);
      this.answering = new AbortController();
      await this.dialogue.answer(line, this.answering.signal);
    } catch (error) {
      // Through a pipe nobody would see that an answer is missing.
      if (!this.isTerminal || !(error instanceof UserError)) throw error;
      warn(error.message);
    } finally {
      this.answering = undefined;
    }
    return false;
  }

  private interrupt(): void {
    const again = this.pressed;
    this.pressed = true;
    if (this.answering && !again) {
      this.answering.abort();
      return;
    }
    if (again || !this.isTerminal) {
      process.exitCode = INTERRUPTED;
      // Of an answer that does not end at once nobody waits for the end.
      if (this.answering) process.exit();
      if (this.isTerminal) say('');
      this.lines.close();
      return;
    }
    // What was typed is taken away, wherever in it the cursor is.
    for (const key of ['e', 'u']) this.lines.write(null, { ctrl: true, name: key });
    say('');
    say('once more, or /exit, ends the chat');
    this.ask();
  }
}

function commandOf(name: string): ChatCommand {
  const found = own(COMMANDS, name);
  if (found === undefined)
    throw new UserError(
      `there is no ${name}: ${Object.keys(COMMANDS).join(', ')}; a message may begin with a space`,
    );
  return found;
}
