/** `westwind report DIR...`: runs as tables and charts, in Markdown, one HTML file, and CSV. */

import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import {
  makeReport,
  readRuns,
  readTestTexts,
  writeReport,
  type PublishedChoice,
  type PublishedName,
} from '../experiments/report/index.js';
import { PUBLISHED_NAMES } from '../experiments/report/published.js';
import type { Verb } from './main.js';
import { say } from './output.js';

interface Flags {
  readonly out: string;
  readonly title?: string;
  readonly published: PublishedChoice;
  readonly force?: boolean;
}

export const verb: Verb = (command) => {
  command
    .argument('<dir...>', "runs' folders, or folders that hold them")
    .option('-o, --out <folder>', 'where the report goes', 'report')
    .option('--title <text>', 'its title')
    .option(
      '--published <which>',
      `published figures to stand beside the measured ones: none, or TASK=NAME with ${PUBLISHED_NAMES.join(' or ')}, by commas; ` +
        "auto goes by the data's own name",
      published,
      'auto',
    )
    .option('--force', 'write into a folder that holds other things, too')
    .action(async (dirs: string[], { out, title, published: choice, force }: Flags) => {
      const { runs, damaged } = readRuns(dirs);
      const texts = await readTestTexts(runs);
      const files = makeReport(runs, {
        published: choice,
        texts,
        damaged,
        ...(title !== undefined && { title }),
      });
      writeReport(out, files, { force });
      const all = runs.length + damaged.length;
      const tables = Object.keys(files.tables).length;
      say(
        `${all} run${all === 1 ? '' : 's'}: ${join(out, 'report.html')}, ${join(out, 'report.md')}, ` +
          `${tables} table${tables === 1 ? '' : 's'} in ${join(out, 'tables')}`,
      );
    });
};

function published(text: string): PublishedChoice {
  if (text === 'auto' || text === 'none') return text;
  return Object.fromEntries(
    text.split(',').map((part): [string, PublishedName] => {
      const [task, name] = part.split('=');
      const known = PUBLISHED_NAMES.find((of) => of === name);
      if (!task || known === undefined)
        throw new InvalidArgumentError(
          `auto, none or TASK=NAME is wanted, with ${PUBLISHED_NAMES.join(' or ')}`,
        );
      return [task, known];
    }),
  );
}
