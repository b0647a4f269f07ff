/**
 * The card of what is pushed, README.md: what it is, what it scored, what it was trained on and how, how it is used. The same run gives the
 * same bytes, so that a second push finds them there.
 */

import { stringify } from 'yaml';
import { createTask, taskColumns, type TaskSettings } from '../../tasks/index.js';
import { SPLIT_NAMES, SPLITS, type SplitName } from '../config/splits.js';
import { isFourBit, tuningName } from '../store/base-weights.js';
import { markdownTable, resultsTable, type TaskResult } from '../store/results.js';
import { dataSetOf } from './data-sets.js';
import type { CardFacts, CardKind, CardRun } from './facts.js';
import { cardMetadata } from './metadata.js';

export type { CardFacts, CardRun } from './facts.js';

/** Metadata and text. */
export function cardText(facts: CardFacts): string {
  const { run } = facts;
  const sections = [
    ['', introduction(facts)],
    ['Figures', run?.result && figures(run, run.result)],
    ['Training data', run && trainingData(run)],
    ['Settings', run && settings(run)],
    ['Use', use(facts)],
    ['Hashes', hashes(facts)],
  ] as const;
  const text = sections.flatMap(([head, body]) =>
    body === undefined ? [] : [...(head === '' ? [] : [`## ${head}`]), body],
  );
  return `${cardMetadata(facts)}\n# ${facts.name.split('/')[1]!}\n\n${text.join('\n\n')}\n`;
}

const WHAT: Readonly<Record<CardKind, { readonly text: string; readonly of: string }>> = {
  adapter: { text: 'A LoRA adapter', of: ' for ' },
  model: { text: 'A model', of: ', made of ' },
  gguf: { text: 'A GGUF file, for llama.cpp and what is built over it', of: ', of ' },
};

function introduction({ kind, base, run }: CardFacts): string {
  const { text, of } = WHAT[kind];
  const what =
    base.name !== undefined
      ? `${text}${of}[${base.name}](https://huggingface.co/${base.name})`
      : `${text}${kind === 'adapter' ? `${of}a model that is not on the hub` : ''}`;
  if (!run) return `${what}.`;
  const { manifest, task } = run;
  const held = isFourBit(manifest.weights ?? '') ? `, over weights in ${manifest.weights!}` : '';
  return `${what}, tuned on a task of the kind ${task.settings.task} by Westwind ${manifest.westwind}${held}.`;
}

function figures({ manifest, task }: CardRun, result: TaskResult): string {
  return resultsTable([result], tuningName({ tasks: [task] }, manifest.weights ?? ''));
}

function trainingData({ manifest, task, result }: CardRun): string {
  const counts: Readonly<Record<SplitName, number | undefined>> = {
    train: result?.train_rows,
    test: result?.test_rows,
    validation: result?.validation_rows,
  };
  const rows = SPLIT_NAMES.flatMap((split) => {
    const set = dataSetOf(manifest, task, split);
    if (!set) return [];
    const name = set.split === undefined ? set.name : `${set.name}, ${set.split}`;
    return [[SPLITS[split].rows, name, String(counts[split] ?? ''), set.hash ?? '']];
  });
  const form = promptForm(task.settings);
  const prompts =
    form === undefined
      ? 'Conversations, laid out by the chat template.'
      : `Prompts have this form, with columns of the data in braces:\n\n${fenced(form)}`;
  return `${markdownTable(['', 'data', 'rows', 'hash'], rows)}\n\nNo row is part of this repository. ${prompts}`;
}

/** A prompt, with columns in braces; undefined: conversations have none. */
function promptForm(given: TaskSettings): string | undefined {
  const { inputs, answers } = taskColumns(given);
  const values = Object.fromEntries([...inputs, ...answers].map((name) => [name, `{${name}}`]));
  // Where answers are labels, there have to be two.
  const other = Object.fromEntries(Object.keys(values).map((name) => [name, 'other']));
  return createTask(given, [values, other]).wording.asText?.prompt(values);
}

/** Those that decide its bits, but for what names files. */
function settings({ manifest, task }: CardRun): string {
  const { lora, training, generation } = task;
  const text = stringify({
    seed: manifest.config.seed,
    weights: manifest.weights,
    lora,
    training,
    generation,
  });
  return fenced(text.trimEnd(), 'yaml');
}

const fenced = (text: string, language = ''): string => {
  // A text with a fence of its own stands in a longer one.
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
};

const OLLAMA = "echo 'FROM ./model.gguf' > Modelfile && ollama create my-model -f Modelfile";

/** The ways to use each kind: a title, a language, and the lines. */
const USES: Readonly<Record<CardKind, (facts: CardFacts) => readonly (readonly [string, string, string])[]>> =
  {
    adapter: (facts) => [
      ['PEFT', 'python', peft(facts)],
      ['Westwind', 'sh', `npx westwind generate ${facts.name} --prompt "..."`],
      ['Ollama, llama.cpp', 'sh', exported(facts)],
    ],
    model: (facts) => [
      ['transformers', 'python', transformers(facts)],
      ['Westwind', 'sh', `npx westwind serve ${facts.name}`],
      ['Ollama, llama.cpp', 'sh', exported(facts)],
    ],
    gguf: ({ name }) => [
      ['Ollama', 'sh', `ollama run hf.co/${name}`],
      ['llama.cpp', 'sh', `llama-cli -hf ${name}`],
    ],
  };

function use(facts: CardFacts): string {
  return USES[facts.kind](facts)
    .map(([title, language, text]) => `${title}:\n\n${fenced(text, language)}`)
    .join('\n\n');
}

const exported = ({ name }: CardFacts): string =>
  `npx westwind export ${name} --type q4_k_m --out model.gguf\n${OLLAMA}`;

function peft({ name, base, hasEncoder }: CardFacts): string {
  const kind = hasEncoder ? 'AutoPeftModelForSeq2SeqLM' : 'AutoPeftModelForCausalLM';
  return python('peft', kind, name, base.name ?? 'BASE');
}

function transformers({ name, hasEncoder }: CardFacts): string {
  return python('transformers', hasEncoder ? 'AutoModelForSeq2SeqLM' : 'AutoModelForCausalLM', name, name);
}

function python(library: string, kind: string, name: string, tokenizer: string): string {
  return [
    `from ${library} import ${kind}`,
    'from transformers import AutoTokenizer',
    '',
    `model = ${kind}.from_pretrained("${name}")`,
    `tokenizer = AutoTokenizer.from_pretrained("${tokenizer}")`,
    'inputs = tokenizer("...", return_tensors="pt")',
    'print(tokenizer.decode(model.generate(**inputs, max_new_tokens=100)[0]))',
  ].join('\n');
}

function hashes({ run, files }: CardFacts): string {
  const { manifest } = run ?? {};
  const known = manifest
    ? [
        ['run', manifest.id],
        ['base model', manifest.fingerprints.model],
        ...(manifest.code === undefined ? [] : [['program', manifest.code]]),
        ['backend', manifest.fingerprints.backend],
      ]
    : [];
  return markdownTable(
    ['what', 'hash'],
    [...known, ...files.map(({ path, sha256 }) => [path, `sha256 ${sha256}`])],
  );
}
