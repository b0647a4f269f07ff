/** `westwind inspect CONFIG`: some training rows as the model will see them, and what of the whole data is trained on. */

import type { ResolvedConfig, ResolvedTask, Study } from '../experiments/config/index.js';
import { showRow, type ShownRow, type ShownToken } from '../experiments/data/shown-rows.js';
import { SPLIT_NAMES, SPLITS } from '../experiments/config/splits.js';
import { readTaskData, type TaskData } from '../experiments/data/task-data.js';
import { describeRow, noticesOf, trainingBlocks } from '../experiments/data/training-blocks.js';
import { resolveModel } from '../import/resolve.js';
import type { Sample } from '../tasks/index.js';
import { Tokenizer, TOKENIZER_FILES } from '../tokenizer/index.js';
import { flatten, rowsOf } from '../train/batch.js';
import { messageOf, UserError } from '../util/errors.js';
import { positiveInteger } from './device.js';
import type { Verb } from './main.js';
import { coloured, lineOf, lines, paint, Painted, say, sayJson } from './output.js';
import { encodingProgress } from './progress.js';
import { configArgument, studyOf, type SettingFlags } from './settings.js';

interface Flags extends SettingFlags {
  readonly task?: string;
  readonly rows: number;
  readonly row?: string[];
  readonly json?: boolean;
}

export const verb: Verb = (command) => {
  configArgument(command)
    .option('--task <name>', 'only this task')
    .option('--rows <n>', 'how many rows of each task', positiveInteger, 3)
    .option(
      '--row <number...>',
      'these rows, by the numbers that messages call them; of a mixture SOURCE:NUMBER',
    )
    .option('--json', 'a JSON object a row, with each token')
    .action(async (path: string, flags: Flags) => {
      for (const [config, settings] of chooseTasks(studyOf(path, flags), flags.task)) {
        const folder = await resolveModel(config.model_name_or_path, {
          revision: config.revision,
          files: TOKENIZER_FILES,
        });
        await inspectTask(config, settings, Tokenizer.load(folder), flags);
      }
    });
};

/** The tasks of a study's first runs that have them. */
function chooseTasks({ runs }: Study, name: string | undefined): [ResolvedConfig, ResolvedTask][] {
  const all = new Map<string, [ResolvedConfig, ResolvedTask]>();
  for (const { config } of runs)
    for (const task of config.tasks)
      if (!all.has(task.name) || (task.tune && !all.get(task.name)![1].tune))
        all.set(task.name, [config, task]);
  const named = [...all.values()].filter(([, task]) => name === undefined || task.name === name);
  if (named.length === 0)
    throw new UserError(`there is no task '${name}'; there are ${[...all.keys()].join(', ')}`);
  const trained = named.filter(([, task]) => task.train);
  if (trained.length === 0)
    throw new UserError(
      `task '${named[0]![1].name}' has no training rows to look at: it has no 'train' section`,
    );
  return trained;
}

async function inspectTask(
  config: ResolvedConfig,
  settings: ResolvedTask,
  tokenizer: Tokenizer,
  flags: Flags,
): Promise<void> {
  const data = await readTaskData(settings, config.seed);
  if (!flags.json) say(paint('bold', `task ${settings.name}`));
  for (const sample of chooseRows(data, flags)) await printRow(data, settings, tokenizer, sample, flags);
  if (flags.json) return;
  for (const notice of noticesOf(data, tokenizer)) say(paint('yellow', notice));
  const show = encodingProgress();
  // Rows that cannot be trained on are refused here, after they could be looked at.
  const { blocks, notices } = await trainingBlocks(data, settings, tokenizer, {
    onEncoded: (done, total) => show(settings.name, done, total),
  });
  for (const notice of notices) say(paint('yellow', notice));
  const tokens = blocks.reduce((n, b) => n + rowsOf(b), 0);
  const trained = blocks.reduce((n, b) => n + flatten([b]).trainedTokens, 0);
  const { packing, max_length } = settings.training;
  // The rows that are tested come last.
  const told = [...SPLIT_NAMES.filter((split) => split !== 'test'), 'test'] as const;
  if (SPLIT_NAMES.some((split) => split !== 'train' && settings[split]))
    say(told.map((split) => `${data[split].length} ${SPLITS[split].rows}`).join(', '));
  say(
    `${data.train.length} rows in ${blocks.length} blocks of at most ${max_length} tokens (packing: ${packing}): ` +
      `${tokens} tokens, ${trained} of them trained on (${((100 * trained) / tokens).toFixed(1)} %)`,
  );
  say();
}

function chooseRows(data: TaskData, { rows, row }: Flags): readonly Sample[] {
  if (row === undefined) return data.train.slice(0, rows);
  return row.map((number) => {
    const sample = data.train.find(({ row, source }) =>
      source ? `${source.name}:${row - source.first + 1}` === number : row + 1 === Number(number),
    );
    if (!sample) throw new UserError(`row ${number} is not among the ${data.train.length} training rows`);
    return sample;
  });
}

async function printRow(
  data: TaskData,
  settings: ResolvedTask,
  tokenizer: Tokenizer,
  sample: Sample,
  flags: Flags,
): Promise<void> {
  let shown: ShownRow;
  try {
    shown = await showRow(data, settings, tokenizer, sample);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(paint('red', messageOf(error)));
    return;
  }
  const { row, tokens, trained } = shown;
  if (flags.json) {
    sayJson({ task: settings.name, ...shown, row: row + 1 });
    return;
  }
  const shortened = shown.shortened ? ', shortened' : '';
  say(paint('dim', `${describeRow(data, row)}: ${tokens.length} tokens, ${trained} trained on${shortened}`));
  say(render(tokens));
  say();
}

/** Trained stretches green and every second token underlined; without colour, trained stretches between [[ and ]]. */
function render(tokens: readonly ShownToken[]): Painted {
  let out = '';
  for (const [i, { text, trained }] of tokens.entries()) {
    if (coloured) {
      const shown = i % 2 === 1 ? paint('underline', lines(text)) : lines(text);
      out += lineOf(paint(trained ? 'green' : 'dim', shown));
    } else {
      const before = tokens[i - 1]?.trained ?? false;
      const after = tokens[i + 1]?.trained ?? false;
      out += `${trained && !before ? '[[' : ''}${lineOf(lines(text))}${trained && !after ? ']]' : ''}`;
    }
  }
  return new Painted(out);
}
