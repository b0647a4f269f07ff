/** `westwind push`: what was tuned, or any model, to the hub, with a card. */

import { checkRepoName, pushFiles, sizeOf, type FileToPush } from '../files/index.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { deviceOptions } from './device.js';
import { interrupted } from './interrupt.js';
import type { Verb } from './main.js';
import { say, sayLines, warn } from './output.js';
import { barOf } from './progress.js';
import { preparePush, type PushFlags } from './prepare-push.js';
import { tableText } from './table.js';
import { gib } from './units.js';

export const verb: Verb = (command) => {
  deviceOptions(command)
    .argument('<what>', "a run's folder, an adapter or model (a folder, a name on the hub), or a .gguf file")
    .argument('<name>', 'the repository, OWNER/NAME, which is made where there is none')
    .option('--to <format>', 'gguf: the model, with its adapter, as a GGUF file (default: as it is)')
    .option('--type <type>', 'of the GGUF file, as for export (default: f16)')
    .option('--task <name>', 'which of a run with several tasks')
    .option(
      '--model <name>',
      "the base model's name on the hub, or its folder (default: what the adapter names)",
    )
    .option('--revision <name>', 'the branch that it is pushed to (default: main)')
    .option('--private', 'for you alone, and whom you name on the hub')
    .option('--dry-run', 'show what would be pushed, and the card, and push nothing')
    .action(async (what: string, name: string, flags: PushFlags) => {
      checkRepoName(name);
      if (flags.type !== undefined && flags.to === undefined)
        throw new UserError('--type goes with --to gguf');
      const signal = interrupted();
      const bar = process.stdout.isTTY && !flags.dryRun ? progressBar() : undefined;
      try {
        const prepared = await preparePush(what, name, flags, signal);
        const { files, rest, notes, card } = prepared;
        try {
          for (const note of notes) warn(note);
          if (rest.length > 0) say(`left out: ${rest.join(', ')}`);
          if (flags.dryRun) {
            sayLines(`${listOf(files)}\n\n${card}`);
            return;
          }
          const { url, sent } = await pushFiles(name, files, {
            ...{ revision: flags.revision, private: flags.private, title: 'Push by Westwind', signal },
            onProgress: (done, total) => bar?.(done, total),
          });
          const size = sizeText(files.filter(({ path }) => sent.includes(path)));
          if (sent.length === 0) say(`nothing to push: ${url} has it all`);
          else say(`pushed ${sent.length} of ${files.length} files, ${size}: ${url}`);
        } finally {
          prepared.leave();
        }
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
        say('stopped; push again to go on');
        process.exitCode = 130;
      }
    });
};

function listOf(files: readonly FileToPush[]): string {
  return tableText(
    ['file', 'size'],
    files.map((file) => [file.path, sizeText([file])]),
  );
}

function sizeText(files: readonly FileToPush[]): string {
  const bytes = files.reduce((sum, { content }) => sum + sizeOf(content), 0);
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function progressBar(): (done: number, total: number) => void {
  const bar = barOf(process.stdout, ({ value, total }) => ({
    title: 'pushing',
    count: `${gib(value)}/${gib(total)} GiB`,
    rest: [],
  }));
  return (done, total) => {
    if (!bar.isActive) bar.start(total, 0, { rest: [] });
    bar.update(done);
    if (done >= total) bar.stop();
  };
}
