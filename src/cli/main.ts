#!/usr/bin/env node
/** The command `westwind`: a file a verb, each loaded only when it is asked for. */

import { Command, CommanderError } from 'commander';
import { version } from '../util/version.js';
import { guardOutput, tellFault } from './output.js';
import { visibleLines } from '../util/visible.js';

/** A verb adds its arguments, options and action to the command it is given. */
export type Verb = (command: Command) => void;

const VERBS = {
  run: 'run the job of a configuration file, or the study that lists in it make: baselines, training, answers, scores',
  plan: 'say what memory and time a configuration will take, before anything is loaded',
  init: 'write a commented configuration to start from',
  schema: "print the configuration's JSON Schema, for editors",
  inspect: 'show the tokens of some training rows, and which are trained on',
  generate: 'answer prompts with a model and, if given, an adapter',
  chat: 'talk with a model in the terminal, or a message a line through a pipe',
  serve: "answer by OpenAI's API, over HTTP: a model and adapters",
  eval: 'score predictions against references',
  compare: 'compare the answers of two runs: figures, a paired test, the rows that changed',
  ls: 'list runs: state, settings, figures',
  rm: 'remove runs, after asking',
  report: 'turn runs into tables and charts: Markdown, one HTML file, CSV',
  merge: 'merge an adapter into its base model',
  export: 'write a model, with its adapter, as one GGUF file for llama.cpp and Ollama',
  push: 'share an adapter, a model or a GGUF file on the hub, with a card',
  verify: 'compare with what the reference implementations computed',
  bench: 'measure speed and memory',
  doctor: 'say what this machine offers',
} as const;

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('westwind');
  program
    .description('QLoRA fine-tuning and honest evaluation of open language models')
    .version(version())
    .showSuggestionAfterError()
    // Commander's own exit would come before the news that its text could not be written.
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(visibleLines(text.replace(/^error: /, 'westwind: '))),
    });
  for (const [name, description] of Object.entries(VERBS)) {
    const command = program.command(name).description(description);
    // Only the verb that is asked for is loaded: `westwind --help` needs no native library.
    if (args[0] === name || (args[0] === 'help' && args[1] === name)) {
      const { verb } = (await import(`./${name}.js`)) as { verb: Verb };
      verb(command);
    }
  }
  await program.parseAsync(args, { from: 'user' });
}

guardOutput();

main(process.argv.slice(2)).catch((error: unknown) => {
  // It has told of itself.
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else process.exit(tellFault(error));
});
