/** Configurations drawn at random, every one of them valid, in which every setting takes other values than its default now and then. */

type Value = string | number | boolean | readonly unknown[] | Readonly<Record<string, unknown>>;
type Choices = Readonly<Record<string, readonly Value[]>>;

const QUANTIZATION: Choices = {
  load_in_4bit: [true],
  bnb_4bit_quant_type: ['nf4'],
  bnb_4bit_use_double_quant: [true, false],
};

const LORA: Choices = {
  r: [8, 64, 4],
  lora_alpha: [16, 1.5],
  lora_dropout: [0.1, 0],
  use_rslora: [false, true],
  target_modules: [['q_proj', 'v_proj'], 'all-linear', '.*_proj'],
  bias: ['none'],
};

const TRAINING: Choices = {
  num_train_epochs: [5, 1, 0.5],
  max_steps: [1, 100],
  per_device_train_batch_size: [4, 2],
  gradient_accumulation_steps: [2, 1],
  learning_rate: [2e-4, 1e-3],
  lr_scheduler_type: ['constant', 'constant_with_warmup', 'linear', 'cosine'],
  warmup_ratio: [0.03, 0.1],
  warmup_steps: [0, 5],
  max_grad_norm: [0.3, 0],
  weight_decay: [0, 0.01],
  adam_beta1: [0.9, 0.8],
  adam_beta2: [0.999, 0.95],
  adam_epsilon: [1e-8, 1e-6],
  gradient_checkpointing: [true, false, 'auto'],
  optim: ['auto', 'adamw_torch', 'paged_adamw_32bit'],
  neftune_noise_alpha: [0, 5],
  max_length: [512, 64],
  packing: ['concat', 'none', 'isolated'],
  completion_only_loss: [true, false],
  bf16: [true, false],
  logging_steps: [10, 1],
  save_steps: [100, 0],
  save_total_limit: [2, 1],
};

const GENERATION: Choices = {
  do_sample: [false, true],
  temperature: [1, 0.7],
  top_p: [1, 0.9],
  top_k: [0, 40],
  batch_size: [16, 1],
};

const TOP: Choices = {
  revision: ['main', 'abc'],
  device: ['auto', 'cpu', 'reference'],
  output_dir: ['runs', 'there'],
  seed: [42, 0, 7],
  report_to: [[], ['tensorboard'], ['mlflow']],
  mlflow: [{ experiment_name: 'mine' }],
};

const SOURCE: Choices = { stratify: [false], seed: [42, 7] };

const TASK: Choices = {
  allow_overlap: [true],
  max_new_tokens: [20, 30, 100],
  baseline_max_new_tokens: [10, 50],
  checks: [[{ check: 'rouge1', min: 0.5 }]],
  few_shot_examples: [1, 2, 3],
};

const LABELLED: Choices = {
  labels: [['a', 'b']],
  scoring: ['generate', 'likelihood', 'both'],
};

const TEMPLATES = { prompt: 'Q:{q} A:', completion: '{a}' };

/** The same ones for the same number. */
export function configuration(number: number): Readonly<Record<string, unknown>> {
  const random = numbers(number);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const rarely = (): boolean => random() < 0.2;
  const some = (choices: Choices): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(choices).flatMap(([key, values]): [string, Value][] =>
        rarely() ? [[key, one(values)]] : [],
      ),
    );
  const part = (choices: Choices, name: string): Record<string, unknown> =>
    random() < 0.5 ? { [name]: some(choices) } : {};
  const source = (columns: Readonly<Record<string, string>>): Record<string, unknown> => ({
    ...one<Record<string, unknown>>([
      { path: 'x.csv' },
      { path: 'x.txt', format: 'csv', delimiter: ';' },
      { hub: 'owner/rows' },
      { hub: 'owner/rows', config: 'plain', split: 'all', revision: 'abc' },
    ]),
    ...(rarely() && { columns }),
    ...one<Record<string, unknown>>([{}, {}, { fraction: 0.5 }, { fraction: 1 }, { count: 10 }]),
    ...some(SOURCE),
  });
  const task = (): Record<string, unknown> => {
    const kind = one(['classification', 'summarization', 'accuracy', 'rouge', 'exact_match']);
    const custom = kind !== 'classification' && kind !== 'summarization';
    const labelled = kind === 'classification' || kind === 'accuracy';
    const columns: Readonly<Record<string, string>> =
      kind === 'classification'
        ? { text: 'body' }
        : kind === 'summarization'
          ? { summary: 'gist' }
          : { q: 'Q' };
    const parted = rarely();
    const trained = parted || random() < 0.8;
    const tested = !parted && (!trained || random() < 0.8);
    const answered = tested || parted;
    const scored = labelled ? some(LABELLED) : {};
    const { stratify, checks, ...own } = { ...some(TASK), ...some({ stratify: [true, false] }) };
    return {
      task: custom ? 'custom' : kind,
      ...(custom && { ...TEMPLATES, metric: kind }),
      ...(custom && some({ instruction: ['Answer.'], multiline: [true, false] })),
      ...((kind === 'summarization' || kind === 'rouge') && some({ rouge_tokenizer: ['ascii', 'unicode'] })),
      ...(rarely() && { columns }),
      ...(trained && { train: source(columns) }),
      ...(tested && { test: source(columns) }),
      ...(parted && {
        split: {
          ...one([{ test: 0.2 }, { test: 30, validation: 0.1 }]),
          ...(labelled && stratify !== undefined && { stratify }),
          ...some({ seed: [42, 3] }),
        },
      }),
      ...own,
      ...(answered && checks !== undefined && { checks }),
      ...(answered &&
        rarely() && { baselines: one(trained ? [[], ['zero_shot'], ['few_shot']] : [[], ['zero_shot']]) }),
      ...scored,
      ...(scored['scoring'] !== undefined && scored['scoring'] !== 'generate'
        ? some({ likelihood_normalization: ['none', 'length'] })
        : {}),
      ...(kind === 'classification' && !trained && { labels: ['a', 'b'] }),
      ...part(LORA, 'lora'),
      ...part(TRAINING, 'training'),
      ...part(GENERATION, 'generation'),
    };
  };
  return {
    model_name_or_path: 'owner/model',
    ...some(TOP),
    lora: some(LORA),
    ...part(QUANTIZATION, 'quantization'),
    ...(random() < 0.1 ? { training: false } : part(TRAINING, 'training')),
    ...part(GENERATION, 'generation'),
    ...(rarely() && { torch_dtype: one(['auto', 'float32', 'bfloat16', 'float16']) }),
    tasks: Object.fromEntries((rarely() ? ['one', 'two'] : ['one']).map((name) => [name, task()])),
  };
}

/** Mulberry32: numbers in [0, 1) that need no library. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
