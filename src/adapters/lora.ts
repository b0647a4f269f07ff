/** Making LoRA (Hu et al., arXiv:2106.09685) for a model's Linears: which ones, with what rank, from where. Names are PEFT's. */

import { Parameter } from '../autograd/parameter.js';
import { familyOf } from '../models/families/index.js';
import type { Family } from '../models/family.js';
import type { CausalLM } from '../models/model.js';
import type { Linear } from '../models/blocks/linear.js';
import { Lora } from '../ops/lora.js';
import { Tensor } from '../tensor/tensor.js';
import { checkBelowOne, checkNumber, checkSeed, checkWhole } from '../util/checks.js';
import { philoxFill } from '../util/philox.js';
import type { TableMap } from '../ops/pass.js';
import { freeTables, tableMap, type AdapterTables } from './tables.js';
import { ownTargets, patternValues, targetModules } from './targets.js';

/** PEFT’s LoraConfig (Hu et al., arXiv 2106.09685), as far as Westwind trains it. */
export interface LoraConfig {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly use_rslora: boolean;
  /**
   * Names or name endings (`ownTargets`); or 'all-linear' (all but the output head); or a regular expression for the whole name.
   */
  readonly target_modules: readonly string[] | string;
  /** Ranks and alphas of modules whose name ends in a key or matches it as a regular expression. */
  readonly rank_pattern?: Readonly<Record<string, number>> | null | undefined;
  readonly alpha_pattern?: Readonly<Record<string, number>> | null | undefined;
}

/** Pairs for a model, in the order of its Linears. */
export interface LoraAdapter {
  /** With `target_modules` as the model names them. */
  readonly config: LoraConfig;
  /** What kind of model it is for, as PEFT calls it. */
  readonly taskType: Family['taskType'];
  readonly modules: readonly { readonly name: string; readonly linear: Linear; readonly scaling: number }[];
  /** What a call needs of it: the pairs, and the tables by the modules whose places they take. */
  readonly pairs: ReadonlyMap<Linear, Lora> & { readonly tables?: TableMap | undefined };
  /** Whole tables that it brings for the model's embedding and head; they are not trained. */
  readonly tables?: AdapterTables | undefined;
  /** What the model calls these. */
  readonly tableNames: { readonly embedding: string; readonly head: string };
  /** A, B, A, B, … */
  readonly parameters: readonly Parameter[];
  /** Makes it, in place of another, that of calls which begin from now on and name none. */
  attach(): void;
  /** Ends that, where it is so. */
  detach(): void;
  /** Detaches it and frees it; a call that is under way with it keeps it until it ends. */
  dispose(): void;
}

/** Where a pair starts: A [r, in], B [out, r]. */
export type LoraSource = (
  module: string,
  r: number,
  inFeatures: number,
  outFeatures: number,
) => { a: Float32Array; b: Float32Array };

/** `outFeatures`: of a head that a table with other rows comes with. */
interface LoraModule {
  readonly name: string;
  readonly r: number;
  readonly outFeatures?: number;
}

/** Where an adapter starts: at random, or from pairs that are there. */
export type LoraStart =
  | { readonly seed: number }
  | {
      readonly source: LoraSource;
      /** Which modules have pairs, where `target_modules` is not to be asked. */
      readonly modules?: readonly LoraModule[];
      readonly tables?: AdapterTables | undefined;
    };

/** Makes an adapter as `createLora` does and attaches it. */
export function attachLora(model: CausalLM, config: LoraConfig, start: LoraStart): LoraAdapter {
  const adapter = createLora(model, config, start);
  adapter.attach();
  return adapter;
}

/**
 * Makes an adapter for a model, which knows nothing of it until it is attached: several can be trained at once. Without a source it starts
 * as PEFT's does: A uniform in ±1/sqrt(in) (Kaiming with a = sqrt 5), B zero, so that the model's answers are at first the base's.
 */
export function createLora(model: CausalLM, config: LoraConfig, start: LoraStart): LoraAdapter {
  checkConfig(config);
  if ('seed' in start) checkSeed('seed', start.seed);
  const given: Partial<Exclude<LoraStart, { seed: number }>> = 'source' in start ? start : {};
  const source = 'source' in start ? start.source : initialPairs(start.seed);
  const { tables } = given;
  const family = familyOf(model.config);
  const all = [...model.linears.keys()];
  const target_modules = given.modules
    ? config.target_modules
    : ownTargets(family, all, config.target_modules);
  const chosen = given.modules ?? ranksOf(config, targetModules(all, model.head.name, target_modules));
  const picked = chosen.map(({ name, r, outFeatures }) => {
    const linear = model.linears.get(name)!;
    const { inFeatures } = linear;
    return { name, linear, r, inFeatures, outFeatures: outFeatures ?? linear.outFeatures };
  });
  const scaling = moduleScaling(
    config,
    picked.map(({ name }) => name),
  );
  const modules = picked.map((module) => ({ ...module, scaling: scaling(module.name, module.r) }));
  const parameters: Parameter[] = [];
  const pairs = Object.assign(new Map<Linear, Lora>(), { tables: tables && tableMap(model, tables) });
  // One behind the other, so that the optimizer updates all in one go.
  const size = modules.reduce((n, m) => n + m.r * (m.inFeatures + m.outFeatures), 0);
  const values = Tensor.empty(model.backend, [size]);
  let at = 0;
  const parameter = (name: string, start: Float32Array, shape: readonly number[]): Parameter => {
    const value = values.view(shape, at);
    model.backend.upload(start, value);
    at += value.length;
    const made = new Parameter(name, value);
    parameters.push(made);
    return made;
  };
  for (const { name, linear, r, scaling, inFeatures, outFeatures } of modules) {
    const pair = source(name, r, inFeatures, outFeatures);
    const a = parameter(`${name}.lora_A.weight`, pair.a, [r, inFeatures]);
    const b = parameter(`${name}.lora_B.weight`, pair.b, [outFeatures, r]);
    const options = { scaling, dropout: config.lora_dropout, stream: streamOf(name) };
    pairs.set(linear, new Lora(a, b, options));
  }
  values.release();
  const detach = (): void => {
    if (model.adapter === pairs) model.adapter = undefined;
  };
  return {
    config: { ...config, target_modules },
    ...{ modules, pairs, parameters, tables, detach },
    tableNames: { embedding: model.embedding.name, head: model.head.name },
    taskType: family.taskType,
    attach: () => {
      model.adapter = pairs;
    },
    dispose: () => {
      detach();
      for (const p of parameters) p.value.release();
      if (tables) freeTables(tables);
    },
  };
}

/** Beyond it a pair is larger than any layer that it would update. */
export const MOST_RANK = 1 << 16;

/** Throws RangeError or TypeError, which names the option. */
function checkConfig({ r, lora_alpha, lora_dropout, rank_pattern, alpha_pattern }: LoraConfig): void {
  const ranks = Object.entries(rank_pattern ?? {}).map(
    ([key, rank]) => [`rank_pattern.${key}`, rank] as const,
  );
  for (const [name, rank] of [['r', r] as const, ...ranks]) checkWhole(name, rank, 1, MOST_RANK);
  for (const alpha of [lora_alpha, ...Object.values(alpha_pattern ?? {})])
    checkNumber('lora_alpha', alpha, 'a finite number', Number.isFinite);
  checkBelowOne('lora_dropout', lora_dropout);
}

/** The factor before B·A of each of the modules, by its rank. */
export function moduleScaling(
  config: Pick<LoraConfig, 'lora_alpha' | 'use_rslora' | 'alpha_pattern'>,
  modules: readonly string[],
  where = 'lora',
): (name: string, r: number) => number {
  const alphas = patternValues(config.alpha_pattern, modules, `${where}.alpha_pattern`);
  return (name, r) => (alphas.get(name) ?? config.lora_alpha) / (config.use_rslora ? Math.sqrt(r) : r);
}

function ranksOf(config: LoraConfig, modules: readonly string[]): LoraModule[] {
  const ranks = patternValues(config.rank_pattern, modules, 'lora.rank_pattern');
  return modules.map((name) => ({ name, r: ranks.get(name) ?? config.r }));
}

function initialPairs(seed: number): LoraSource {
  return (name, r, inFeatures, outFeatures) => {
    const words = new Uint32Array(r * inFeatures);
    const bound = 1 / Math.sqrt(inFeatures);
    philoxFill(words, [0, 0, 0, INITIAL], 1, [seed, streamOf(name)]);
    const a = new Float32Array(words.length);
    for (let i = 0; i < a.length; i++) a[i] = bound * (words[i]! / 2 ** 31 - 1);
    return { a, b: new Float32Array(outFeatures * r) };
  };
}

/** Keeps the numbers of the start apart from those of the masks, whose last counter word is 0. */
const INITIAL = 1;

/** A module's own stream of random numbers: FNV-1a of its name, so that it does not depend on which others are trained. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
