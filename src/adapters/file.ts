/**
 * An adapter folder of PEFT's, checked against the model that it is for before a value is read: each tensor is used or refused by its name,
 * and has the shape that the model and the configuration ask for. Loading and merging read adapters here and nowhere else.
 *
 * PEFT keeps tables of the embedding and the output head in two ways. Those of `modules_to_save` stand in the place of the module alone;
 * those that it saves by itself, where tokens were added, become the base's own, and so the other's where both are tied.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkFinite, SafetensorsFile } from '../files/index.js';
import type { Linear } from '../models/blocks/linear.js';
import { isTied, readsByEncoder, type CausalLM } from '../models/model.js';
import { UserError } from '../util/errors.js';
import { moduleScaling } from './config.js';
import { kindOf } from './kinds/index.js';
import type { AdapterKind } from './kinds/kind.js';
import { ADAPTER_CONFIG, readAdapterConfig, type PeftConfig } from './peft-config.js';
import { adapterModules, patternValues } from './targets.js';

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** What PEFT puts before a module's name. */
export const PEFT_PREFIX = 'base_model.model.';

/** What an adapter must know of a model; its weights are not asked for. */
export type ModelShape = Pick<CausalLM, 'linears' | 'embedding' | 'head' | 'parameters' | 'config'>;

/** What an adapter has on a module. */
export interface AdapterPair {
  readonly name: string;
  readonly linear: Linear;
  readonly r: number;
  readonly scaling: number;
  /** The Linear's, or the rows of the table that comes in its place. */
  readonly outFeatures: number;
  /** What the file calls its tensors, by their names in AdapterKind. */
  readonly tensors: Readonly<Record<string, string>>;
}

/** A whole table, [rows, hidden_size]. */
export interface AdapterTable {
  readonly tensor: string;
  readonly rows: number;
}

/** The tables that take the places of the base's; where one serves as both, it is the same object. */
interface TableChoice {
  readonly embedding?: AdapterTable | undefined;
  readonly head?: AdapterTable | undefined;
}

/** `close` it when all is read. */
export interface AdapterFile {
  readonly config: PeftConfig;
  /** In the order of the model's Linears. */
  readonly pairs: readonly AdapterPair[];
  readonly tables: TableChoice;
  read(tensor: string): Float32Array;
  close(): void;
}

/** Opens an adapter folder for a model of this shape. Throws UserError for all that is not just what such a model's adapter has. */
export function openAdapter(model: ModelShape, folder: string): AdapterFile {
  const config = readAdapterConfig(folder);
  const path = join(folder, ADAPTER_WEIGHTS);
  if (!existsSync(path) && existsSync(join(folder, 'adapter_model.bin')))
    throw new UserError(
      `${join(folder, 'adapter_model.bin')} is a pickle, which can run code and is not read: save the adapter again with PEFT (safe_serialization=True)`,
    );
  const file = SafetensorsFile.open(path);
  try {
    const found = sort(file, model, kindOf(config.kind));
    const where = join(folder, ADAPTER_CONFIG);
    const tables = chooseTables(file, found, model, config, where);
    return {
      config,
      pairs: choosePairs(file, found.pairs, model, config, tables, where),
      tables,
      read(tensor) {
        const { dtype, shape, data } = file.read(tensor);
        checkFinite(path, tensor, dtype, shape, data);
        return file.readFloat32(tensor);
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Whether an adapter folder has the tokenizer of its own tables: tokens that were added are in no other. */
export function bringsTokenizer(folder: string): boolean {
  if (!existsSync(join(folder, 'tokenizer.json')) || !existsSync(join(folder, ADAPTER_WEIGHTS))) return false;
  const file = SafetensorsFile.open(join(folder, ADAPTER_WEIGHTS));
  file.close();
  return file.names.some((name) => !/\.lora_[AB]\./.test(name));
}

interface Found {
  /** By module: the names of its tensors, by what AdapterKind calls them. */
  readonly pairs: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** By module; `kept`: by its name it is of `modules_to_save`. */
  readonly tables: ReadonlyMap<string, { readonly tensor: string; readonly kept: boolean }>;
  /** By module: the base's table, which PEFT has beside a copy that it trains. */
  readonly originals: ReadonlyMap<string, string>;
}

/** The tensors by what their names say that they are. PEFT leaves the adapter's own name, `default`, out; a raw state dict has it. */
function sort(file: SafetensorsFile, model: ModelShape, kind: AdapterKind): Found {
  const pairs = new Map<string, Record<string, string>>();
  const tables = new Map<string, { tensor: string; kept: boolean }>();
  const originals = new Map<string, string>();
  for (const tensor of file.names) {
    const twice = (other: string): UserError =>
      new UserError(`${file.path}: tensors '${other}' and '${tensor}' are the same one`);
    const name = tensor.startsWith(PEFT_PREFIX) ? tensor.slice(PEFT_PREFIX.length) : '';
    const pair = pairTensor(name, kind);
    if (pair) {
      const there = pairs.get(pair.module) ?? {};
      const other = there[pair.tensor];
      if (other !== undefined) throw twice(other);
      pairs.set(pair.module, { ...there, [pair.tensor]: tensor });
      continue;
    }
    const table = /^(.+?)(\.modules_to_save(?:\.default)?|\.base_layer|\.original_module|)\.weight$/.exec(
      name,
    );
    const [, module = '', how] = table ?? [];
    if (module !== model.embedding.name && module !== model.head.name) throw foreign(file.path, tensor);
    if (how === '.original_module') originals.set(module, tensor);
    else {
      const there = tables.get(module);
      if (there !== undefined) throw twice(there.tensor);
      tables.set(module, { tensor, kept: how?.startsWith('.modules_to_save') ?? false });
    }
  }
  const alone = [...originals].find(([module]) => tables.get(module)?.kept !== true);
  if (alone) throw foreign(file.path, alone[1]);
  return { pairs, tables, originals };
}

/** The module and AdapterKind's name of a tensor of the adapter's own, however PEFT spells it. */
function pairTensor(name: string, { tensors }: AdapterKind): { module: string; tensor: string } | undefined {
  for (const [tensor, { raw }] of Object.entries(tensors))
    for (const ending of [`.${tensor}`, `.${raw}`])
      if (name.endsWith(ending) && name.length > ending.length)
        return { module: name.slice(0, -ending.length), tensor };
  return undefined;
}

const PARTS: readonly (readonly [RegExp, string])[] = [
  [/\.lora_magnitude_vector/, 'of DoRA'],
  [/\.lora_embedding_[AB]/, 'of LoRA on the embedding'],
  [/\.lora_[AB]\.(default\.)?bias$|\.bias$/, 'a trained bias'],
  [/\.token_adapter\./, 'of single trained rows of the embedding'],
];

/** To leave it out would be another model. */
function foreign(path: string, tensor: string): UserError {
  const kind = PARTS.find(([pattern]) => pattern.test(tensor))?.[1];
  const why =
    kind === undefined
      ? "is none of LoRA on this model's Linear layers, nor its embedding's or head's table"
      : `is ${kind}`;
  return new UserError(
    `${path}: tensor '${tensor}' ${why}; such an adapter is not supported: merge it by PEFT (merge_and_unload), and take that model`,
  );
}

function choosePairs(
  file: SafetensorsFile,
  found: Found['pairs'],
  model: ModelShape,
  config: PeftConfig,
  tables: TableChoice,
  where: string,
): AdapterPair[] {
  const modules = adapterModules([...model.linears.keys()], model.head.name, config, where);
  const ranks = patternValues(config.rank_pattern, modules, `${where}.rank_pattern`);
  const scaling = moduleScaling(config, modules, where);
  const kind = kindOf(config.kind);
  const wanted = new Set(modules);
  for (const [module, there] of found)
    if (!wanted.has(module))
      throw new UserError(
        `${file.path}: tensor '${Object.keys(kind.tensors).flatMap((key) => there[key] ?? [])[0]!}' is of a module that ${ADAPTER_CONFIG} or the model does not have`,
      );
  return modules.map((name) => {
    const linear = model.linears.get(name)!;
    const r = ranks.get(name) ?? config.r;
    const outFeatures = (linear === model.head ? tables.head?.rows : undefined) ?? linear.outFeatures;
    const shape = { r, inFeatures: linear.inFeatures, outFeatures };
    const tensors: Record<string, string> = {};
    for (const [key, rule] of Object.entries(kind.tensors)) {
      const tensor = found.get(name)?.[key];
      if (tensor === undefined)
        throw new UserError(
          `${file.path}: tensor '${PEFT_PREFIX}${name}.${key}' is missing, which ${ADAPTER_CONFIG} asks for`,
        );
      expectShape(file, tensor, rule.shape(shape));
      tensors[key] = tensor;
    }
    return { name, linear, r, scaling: scaling(name, r), outFeatures, tensors };
  });
}

function expectShape(file: SafetensorsFile, tensor: string, wanted: readonly (number | undefined)[]): void {
  const { shape, dtype } = file.info(tensor);
  if (!['F64', 'F32', 'F16', 'BF16'].includes(dtype))
    throw new UserError(`${file.path}: tensor '${tensor}' has type ${dtype}, not a floating-point type`);
  const fits =
    shape.length === wanted.length &&
    wanted.every((n, i) => (n === undefined ? shape[i]! > 0 : shape[i] === n));
  if (!fits)
    throw new UserError(
      `${file.path}: tensor '${tensor}' has shape [${shape.join(', ')}], but the model and ${ADAPTER_CONFIG} ask for [${wanted.map((n) => n ?? 'rows').join(', ')}]`,
    );
}

/** Rows of a table beyond which it is none. */
const MAX_ROWS = 1 << 24;

function chooseTables(
  file: SafetensorsFile,
  { tables, originals }: Found,
  model: ModelShape,
  config: PeftConfig,
  where: string,
): TableChoice {
  const { embedding, head } = model;
  const kept = keptModules(model, config, where);
  const tableOf = (module: string): (AdapterTable & { readonly kept: boolean }) | undefined => {
    const given = tables.get(module);
    if (given === undefined) {
      if (kept.has(module))
        throw new UserError(
          `${file.path}: tensor '${PEFT_PREFIX}${module}.weight' is missing, which ${ADAPTER_CONFIG} asks for by modules_to_save`,
        );
      return undefined;
    }
    for (const tensor of [given.tensor, originals.get(module) ?? given.tensor]) {
      expectShape(file, tensor, [undefined, embedding.table.cols]);
      if (file.info(tensor).shape[0]! > MAX_ROWS)
        throw new UserError(`${file.path}: tensor '${tensor}' has more than ${MAX_ROWS} rows`);
    }
    return {
      tensor: given.tensor,
      rows: file.info(given.tensor).shape[0]!,
      kept: given.kept || kept.has(module),
    };
  };
  let [e, h] = [tableOf(embedding.name), tableOf(head.name)];
  if (isTied(model)) {
    if (e && h && file.same(e.tensor, file, h.tensor)) h = e;
    else if (e && !h && (!e.kept || config.ensure_weight_tying)) h = e;
    else if (h && !e && (!h.kept || config.ensure_weight_tying)) e = h;
  }
  const base = embedding.table.rows;
  const [inputs, outputs] = [e?.rows ?? base, h?.rows ?? head.outFeatures];
  if (inputs !== outputs)
    throw new UserError(
      `${file.path}: with it the embedding has ${inputs} rows and the output head ${outputs}: both must have the same number`,
    );
  return { embedding: e, head: h };
}

/** The embedding and the head where `modules_to_save` names them, by the ends of names as in PEFT. Throws UserError for other modules. */
function keptModules(model: ModelShape, config: PeftConfig, where: string): Set<string> {
  const given = config.modules_to_save ?? [];
  const modules = new Set<string>([...model.linears.keys()]);
  for (const { name } of model.parameters)
    for (let end = name.lastIndexOf('.'); end > 0; end = name.lastIndexOf('.', end - 1))
      modules.add(name.slice(0, end));
  const kept = new Set([...modules].filter((module) => given.some((ending) => module.endsWith(ending))));
  const tables = [model.embedding.name, model.head.name];
  const other = [...kept].find((module) => !tables.includes(module));
  if (other !== undefined)
    throw new UserError(
      `${where}: modules_to_save names '${other}', which is not supported; of the embedding and the output head whole tables are read`,
    );
  if (readsByEncoder(model) && kept.has(model.embedding.name))
    // PEFT would train a copy that neither of the two texts goes through.
    throw new UserError(
      `${where}: modules_to_save names the embedding of a model with an encoder, which is not supported`,
    );
  return kept;
}
