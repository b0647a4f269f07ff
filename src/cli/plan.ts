/** `westwind plan CONFIG`: what a configuration will take of the device's memory, part by part, and how long. */

import type { Backend } from '../backends/contract.js';
import { createBackend } from '../backends/select.js';
import { Planner, sumOf, type RunForecast, type TaskPlan } from '../experiments/plan/index.js';
import { measureRates, secondsOf, type Rates } from '../experiments/plan/rates.js';
import { refuseHopeless } from '../experiments/run/supervise-study.js';
import { messageOf, UserError } from '../util/errors.js';
import { deviceOption, nonNegative } from './device.js';
import type { Verb } from './main.js';
import { sayJson, sayLines, warn } from './output.js';
import { encodingProgress } from './progress.js';
import { configArgument, studyOf, type SettingFlags } from './settings.js';
import { faultLines, gridText } from './study-text.js';
import { tableText } from './table.js';
import { duration, gib } from './units.js';

interface Flags extends SettingFlags {
  readonly memory?: number;
  readonly json?: boolean;
}

export const verb: Verb = (command) => {
  configArgument(command)
    .addOption(deviceOption("plan for this one instead of the configuration's"))
    .option(
      '--memory <gib>',
      'plan for so much memory on the device (default: what is free there)',
      nonNegative,
    )
    .option('--json', 'as JSON')
    .action(async (path: string, flags: Flags) => {
      const study = studyOf(path, flags);
      const { config } = study.runs[0]!;
      const there = await deviceThere(config.device);
      const target = there ?? ({ name: 'cuda', activations: 'bf16' } as const);
      const room = flags.memory === undefined ? (there?.available() ?? Infinity) : flags.memory * 2 ** 30;
      const planner = new Planner(target, room, encodingProgress());
      const runs: (TaskPlan[] | { readonly fault: string })[] = [];
      for (const run of study.runs)
        try {
          runs.push(await planner.plan(run.config));
        } catch (error) {
          // One run of a study that cannot be is no word on the others.
          if (study.axes.length === 0 || !(error instanceof UserError)) throw error;
          runs.push({ fault: error.message });
        }
      const rates = there && (await measureRates(there));
      if (flags.json) {
        const plans =
          study.axes.length === 0
            ? runs[0]
            : study.runs.map(({ at }, i) => {
                const plans = runs[i]!;
                return 'fault' in plans ? { at, ...plans } : { at, plans };
              });
        sayJson({ device: target.name, room, rates, plans }, 2);
      } else if (study.axes.length === 0) sayLines(text(target.name, room, runs[0] as TaskPlan[], rates));
      else {
        const sums = runs.map((plans): RunForecast => {
          if ('fault' in plans) return plans;
          const sum = sumOf(plans, room);
          return { ...sum, ...(rates && { seconds: secondsOf(sum.work, rates) }) };
        });
        refuseHopeless(sums);
        sayLines(gridText(study, sums));
        for (const line of faultLines(study, sums)) warn(line);
      }
      if (runs.some((plans) => 'fault' in plans)) process.exitCode = 2;
    });
};

/** The device, or undefined where plans for a GPU are wanted on a machine that has none. */
async function deviceThere(name: string): Promise<Backend | undefined> {
  try {
    return (await createBackend(name)).backend;
  } catch (error) {
    if (name !== 'cuda') throw error;
    warn(`planned for a GPU that is not here, without times (${messageOf(error)})`);
    return undefined;
  }
}

function text(device: string, room: number, plans: readonly TaskPlan[], rates: Rates | undefined): string {
  const time = (work: Parameters<typeof secondsOf>[0]): string =>
    rates ? duration(secondsOf(work, rates)) : '';
  const rows = plans.flatMap(({ task, training, answers }) => [
    ...(training ? trainingRows(task, training.plan, time) : []),
    ...answers.map(({ method, plan }) => [
      `${task}: ${method.replace('_', '-')} answers`,
      ...[plan.weights, 0, 0, plan.activations, plan.cache, plan.peak].map(gib),
      String(plan.tokens),
      time(plan.work),
    ]),
  ]);
  const heads = ['', 'weights', 'adapter', 'optimizer', 'activations', 'cache', 'peak', 'tokens', 'at least'];
  const notes = plans.flatMap(({ task, training }) => (training ? [noteOf(task, training, room)] : []));
  return (
    `${device}${Number.isFinite(room) ? `, ${gib(room)} GiB of memory` : ''}; figures in GiB\n\n` +
    `${tableText(heads, rows)}\n\n${notes.join('\n')}` +
    (rates
      ? `\ntimes: at this machine's ${(rates.operations / 1e12).toFixed(1)} TFLOP/s in products and ${(rates.bytes / 1e9).toFixed(0)} GB/s in copies`
      : '')
  );
}

function trainingRows(
  task: string,
  plan: NonNullable<TaskPlan['training']>['plan'],
  time: (work: Parameters<typeof secondsOf>[0]) => string,
): string[][] {
  const { weights, adapter, optimizer, activations, tokens, work, evaluations } = plan;
  const kept = [weights, adapter, optimizer];
  const peak = kept.reduce((a, b) => a + b, activations);
  const rows = [
    [`${task}: training`, ...[...kept, activations, 0, peak].map(gib), String(tokens), time(work)],
  ];
  if (!evaluations) return rows;
  const { count, ...own } = evaluations;
  const memory = [...kept, own.activations, own.cache, own.peak].map(gib);
  return [
    ...rows,
    [`${task}: ${count} evaluation${count === 1 ? '' : 's'}`, ...memory, String(own.tokens), time(own.work)],
  ];
}

function noteOf(
  task: string,
  { training, fits, unpackedBytes }: NonNullable<TaskPlan['training']>,
  room: number,
): string {
  const how = `${training.gradient_checkpointing ? 'with' : 'without'} gradient checkpointing${training.paged ? ', the optimizer in main memory' : ''}`;
  if (!fits) {
    const mends = [
      ...(training.gradient_checkpointing ? [] : ['gradient_checkpointing: auto']),
      ...(training.paged ? [] : ['optim: auto']),
      'a smaller per_device_train_batch_size or max_length',
    ];
    return `${task}: does not fit into ${gib(room)} GiB ${how}: take ${mends.join(', or ')}`;
  }
  const kept =
    Number.isFinite(unpackedBytes) && unpackedBytes > 0
      ? `; ${gib(unpackedBytes)} GiB are left for unpacked weights`
      : '';
  return `${task}: ${how}${kept}`;
}
