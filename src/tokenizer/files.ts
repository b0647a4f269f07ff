/**
 * The files of a tokenizer's folder, as transformers 5 reads them: tokenizer.json is the tokenizer; tokenizer_config.json and
 * special_tokens_map.json name its special tokens, add such as it lacks, and may say what stands around a text.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../util/errors.js';
import { readText } from '../util/read.js';
import { readJsonObject } from '../util/json.js';

export type Json = Record<string, unknown>;

/** Far above every real vocabulary. */
const MAX_ID = 1 << 24;

const SPECIAL = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;
const OTHER_SPECIAL = ['sep_token', 'cls_token', 'mask_token'] as const;
export type Special = (typeof SPECIAL)[number];

/** The special tokens' texts, by their names. */
export type SpecialTokens = Partial<Record<Special | (typeof OTHER_SPECIAL)[number], string>>;

/** An entry of tokenizer.json's `added_tokens`. */
interface AddedToken extends Json {
  readonly content: string;
}

const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };

/** The special tokens' texts: the config's, else the map's; each a string or an object with `content`, or null for none. */
export function specialTokens(config: Json, map: Json, folder: string): SpecialTokens {
  const tokens: SpecialTokens = {};
  for (const name of [...SPECIAL, ...OTHER_SPECIAL]) {
    const value = config[name] ?? map[name] ?? undefined;
    const text = isObject(value) ? value['content'] : value;
    if (typeof text === 'string') tokens[name] = text;
    else if (value !== undefined) {
      throw new UserError(
        `${folder}: ${name} is neither a string nor an object with a content in tokenizer_config.json`,
      );
    }
  }
  return tokens;
}

/**
 * tokenizer.json with what the other files change of it. Neither cuts nor fills: transformers turns both off unless a call asks for
 * them. Throws Error for a file that has no vocabulary, or ids that are none.
 */
export function settle(json: Json, config: Json, map: Json, special: SpecialTokens): Json {
  const { tokens, idOf } = vocabulary(json);
  const added = addedTokens(json, config, map, special, tokens);
  const around = ['add_bos_token', 'add_eos_token'].some((key) => Object.hasOwn(config, key));
  return {
    ...json,
    truncation: null,
    padding: null,
    added_tokens: added,
    ...((around || json['post_processor'] == null) && {
      post_processor: surrounding(config, special, (token) => {
        return idOf.get(token) ?? (added.find(({ content }) => content === token)!['id'] as number);
      }),
    }),
  };
}

/** The model's tokens by id, and their ids. */
export function vocabulary(json: Json): { tokens: Map<number, string>; idOf: Map<string, number> } {
  const vocab = isObject(json['model']) ? json['model']['vocab'] : undefined;
  let entries: [unknown, unknown][] = [];
  if (Array.isArray(vocab))
    entries = (vocab as unknown[]).map((entry, id) => [Array.isArray(entry) ? entry[0] : entry, id]);
  else if (isObject(vocab)) entries = Object.entries(vocab);
  if (entries.length === 0) throw new Error('it has no vocabulary');
  const tokens = new Map<number, string>();
  const idOf = new Map<string, number>();
  for (const [token, id] of entries) {
    if (typeof token !== 'string') throw new Error(`${JSON.stringify(token)} is no token`);
    tokens.set(checkedId(id), token);
    idOf.set(token, id as number);
  }
  return { tokens, idOf };
}

function checkedId(id: unknown): number {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > MAX_ID)
    throw new Error(`${JSON.stringify(id)} is no token id`);
  return id as number;
}

/** The file's added tokens, then those that only the config has, which stand behind all others. */
function addedTokens(
  json: Json,
  config: Json,
  map: Json,
  special: SpecialTokens,
  tokens: ReadonlyMap<number, string>,
): AddedToken[] {
  const all = new Map<string, AddedToken>();
  let next = [...tokens.keys()].reduce((most, id) => Math.max(most, id + 1), 0);
  const list = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
  for (const token of list) {
    if (!isAdded(token)) throw new Error(`${JSON.stringify(token)} is no added token`);
    next = Math.max(next, checkedId(token['id']) + 1);
    all.set(token.content, token);
  }
  const add = (value: unknown, named: boolean): void => {
    const token: unknown = typeof value === 'string' ? { content: value } : value;
    if (!isAdded(token) || token.content === '') return;
    const { content } = token;
    const there = all.get(content);
    if (there) {
      if (named && there['special'] !== true) all.set(content, { ...there, special: true });
      return;
    }
    const flags = Object.entries(PLAIN).map(([key, usual]) => [key, token[key] ?? usual] as const);
    const own = { ...Object.fromEntries(flags), ...(named && { special: true }) };
    all.set(content, { id: next++, content, ...own });
  };
  const decoder = config['added_tokens_decoder'];
  if (isObject(decoder))
    for (const id of Object.keys(decoder).sort((a, b) => Number(a) - Number(b))) add(decoder[id], false);
  for (const [name, text] of Object.entries(special)) {
    const value = config[name] ?? map[name];
    add(isObject(value) ? value : text, true);
  }
  for (const name of ['additional_special_tokens', 'extra_special_tokens']) {
    const more = config[name] ?? map[name];
    if (more !== null && typeof more === 'object') for (const token of Object.values(more)) add(token, true);
  }
  return [...all.values()];
}

const isAdded = (token: unknown): token is AddedToken =>
  isObject(token) && typeof token['content'] === 'string';

/** What `add_bos_token` and `add_eos_token` say; null for nothing. A token that is not named is not put. */
function surrounding(
  config: Json,
  { bos_token: bos, eos_token: eos }: SpecialTokens,
  idOf: (token: string) => number,
): Json | null {
  const before = config['add_bos_token'] ? bos : undefined;
  const after = config['add_eos_token'] ? eos : undefined;
  const put = [before, after].filter((token) => token !== undefined);
  if (put.length === 0) return null;
  const part = (id: string, type_id: number): Json => ({ SpecialToken: { id, type_id } });
  const text = (id: string, type_id: number): Json[] => [
    ...(before === undefined ? [] : [part(before, type_id)]),
    { Sequence: { id, type_id } },
    ...(after === undefined ? [] : [part(after, type_id)]),
  ];
  return {
    type: 'TemplateProcessing',
    single: text('A', 0),
    pair: [...text('A', 0), ...text('B', 1)],
    special_tokens: Object.fromEntries(put.map((id) => [id, { id, ids: [idOf(id)], tokens: [id] }])),
  };
}

export const CHAT_TEMPLATE = 'chat_template.jinja';

/** Patterns of the files of a model's folder that a tokenizer is loaded from, and the model's configuration. */
export const TOKENIZER_FILES = ['config.json', 'tokenizer*', 'special_tokens_map.json', CHAT_TEMPLATE];

/** The files of a folder that a tokenizer is loaded from. */
export function tokenizerFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(
      (entry) =>
        !entry.isDirectory() &&
        TOKENIZER_FILES.some((glob) =>
          glob.endsWith('*') ? entry.name.startsWith(glob.slice(0, -1)) : entry.name === glob,
        ),
    )
    .map(({ name }) => join(folder, name))
    .sort();
}

/** chat_template.jinja, else the config's chat_template: a template, or a list of named ones of which 'default' counts. */
export function chatTemplateSource(
  folder: string,
  config: Json,
): { source: string; path: string } | undefined {
  const path = join(folder, CHAT_TEMPLATE);
  if (existsSync(path)) return { source: readText(path), path };
  let source = config['chat_template'];
  if (Array.isArray(source)) {
    source = (source as unknown[]).filter(isObject).find((entry) => entry['name'] === 'default')?.[
      'template'
    ];
  }
  if (typeof source !== 'string') return undefined;
  return { source, path: `${join(folder, 'tokenizer_config.json')}, chat_template` };
}

export function readOptionalJson(path: string): Json {
  return existsSync(path) ? readJsonObject(path) : {};
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
