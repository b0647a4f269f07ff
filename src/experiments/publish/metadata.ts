/** The metadata of a card, as the hub reads it: https://huggingface.co/docs/hub/model-cards#model-card-metadata. */

import { stringify } from 'yaml';
import { metricOf } from '../../eval/index.js';
import type { TaskName } from '../../tasks/index.js';
import { SPLIT_NAMES } from '../config/splits.js';
import { dataSetOf } from './data-sets.js';
import type { CardFacts, CardKind, CardRun } from './facts.js';

/** By the hub's names. `relation`: of what leaves to its base. */
const KINDS: Readonly<
  Record<
    CardKind,
    { readonly library_name: string; readonly tags: readonly string[]; readonly relation: string }
  >
> = {
  adapter: { library_name: 'peft', tags: ['lora'], relation: 'adapter' },
  model: { library_name: 'transformers', tags: [], relation: 'finetune' },
  gguf: { library_name: 'gguf', tags: ['gguf', 'llama.cpp'], relation: 'quantized' },
};

const HUB_TASKS: Readonly<Record<TaskName, string>> = {
  classification: 'text-classification',
  summarization: 'summarization',
  custom: 'text-generation',
  chat: 'text-generation',
};

/** What a base's card says that holds for what was made of it, too. */
const CARRIED = ['license', 'license_name', 'license_link', 'language'] as const;

/** Between its two lines of dashes. */
export function cardMetadata(facts: CardFacts): string {
  const { library_name, tags, relation } = KINDS[facts.kind];
  const { base, run } = facts;
  const carried = CARRIED.flatMap((key) => (base.card[key] == null ? [] : [[key, base.card[key]] as const]));
  const datasets = run ? hubDataSets(run) : [];
  const fields = {
    ...Object.fromEntries(carried),
    ...(base.name !== undefined && {
      base_model: base.name,
      base_model_relation: run && relation === 'quantized' ? 'finetune' : relation,
    }),
    library_name,
    pipeline_tag: 'text-generation',
    tags: [...tags, 'westwind'],
    ...(datasets.length > 0 && { datasets }),
    ...(run?.result && { 'model-index': [{ name: facts.name, results: results(run) }] }),
  };
  return `---\n${stringify(fields, { lineWidth: 0 })}---\n`;
}

function hubDataSets({ manifest, task }: CardRun): string[] {
  return [...new Set(SPLIT_NAMES.flatMap((split) => dataSetOf(manifest, task, split)?.hub ?? []))];
}

/** What was tuned, by each of its figures with its interval. */
function results({ manifest, task, result }: CardRun): object[] {
  const method = result?.methods.find((one) => one.method === 'tuned');
  if (!result || !method) return [];
  const { figures } = metricOf(result.metric);
  const metrics = Object.entries(figures).flatMap(([name, { head, hub }]) => {
    const value = method.metrics[name];
    if (value === undefined || Number.isNaN(value)) return [];
    const { low, high } = method.intervals[name] ?? {};
    const interval =
      low === undefined
        ? ''
        : `, 95 % interval ${(100 * low).toFixed(2)} to ${(100 * high!).toFixed(2)} percent`;
    return {
      ...{ type: hub ?? name, value, name: `${head} (${method.rows} rows${interval})` },
      args: { rows: method.rows, ...(low !== undefined && { confidence_level: 0.95, low, high }) },
    };
  });
  if (metrics.length === 0) return [];
  // Answers are of test rows, which may be a part of others.
  const { name, hub, split = 'test', hash } = dataSetOf(manifest, task, 'test')!;
  return [
    {
      task: { type: HUB_TASKS[task.settings.task], name: task.name },
      dataset: {
        ...{ name, type: hub[0] ?? 'local', split },
        ...(hash !== undefined && { args: { hash } }),
      },
      metrics,
    },
  ];
}
