/** Making an adapter for a model's Linears: which ones, with what rank, from where. Names are PEFT's. */

import { Parameter } from '../autograd/parameter.js';
import { familyOf } from '../models/families/index.js';
import type { Family } from '../models/family.js';
import type { Linear } from '../models/blocks/linear.js';
import type { CausalLM } from '../models/model.js';
import type { LinearAdapter } from '../ops/adapter.js';
import type { TableMap } from '../ops/pass.js';
import { Tensor } from '../tensor/tensor.js';
import { checkSeed } from '../util/checks.js';
import { checkConfig, moduleScaling, ranksOf, type LoraConfig } from './config.js';
import { kindOf } from './kinds/index.js';
import type { AdaptedModule, AdapterKind } from './kinds/kind.js';
import { freeTables, tableMap, type AdapterTables } from './tables.js';
import { ownTargets, targetModules } from './targets.js';

/** Pairs for a model, in the order of its Linears. */
export interface LoraAdapter {
  /** With `target_modules` as the model names them. */
  readonly config: LoraConfig;
  /** What kind of model it is for, as PEFT calls it. */
  readonly taskType: Family['taskType'];
  readonly modules: readonly LoraModule[];
  /** What a call needs of it: the pairs, and the tables by the modules whose places they take. */
  readonly pairs: ReadonlyMap<Linear, LinearAdapter> & { readonly tables?: TableMap | undefined };
  /** Whole tables that it brings for the model's embedding and head; they are not trained. */
  readonly tables?: AdapterTables | undefined;
  /** What the model calls these. */
  readonly tableNames: { readonly embedding: string; readonly head: string };
  /** A, B, A, B, …, and what else the kind has. */
  readonly parameters: readonly Parameter[];
  /** Makes it, in place of another, that of calls which begin from now on and name none. */
  attach(): void;
  /** Ends that, where it is so. */
  detach(): void;
  /** Detaches it and frees it; a call that is under way with it keeps it until it ends. */
  dispose(): void;
}

interface LoraModule extends AdaptedModule {
  readonly linear: Linear;
}

/** What a module's tensor starts as; `tensor`: its name behind the module's, as AdapterKind has it. */
export type LoraSource = (module: string, tensor: string, shape: readonly number[]) => Float32Array;

/** `outFeatures`: of a head that a table with other rows comes with. */
interface ChosenModule {
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
      readonly modules?: readonly ChosenModule[];
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
 * as PEFT's does, so that the model's answers are at first the base's.
 */
export function createLora(model: CausalLM, config: LoraConfig, start: LoraStart): LoraAdapter {
  checkConfig(config);
  if ('seed' in start) checkSeed('seed', start.seed);
  const given: Partial<Exclude<LoraStart, { seed: number }>> = 'source' in start ? start : {};
  const { tables } = given;
  const family = familyOf(model.config);
  const all = [...model.linears.keys()];
  const target_modules = given.modules
    ? config.target_modules
    : ownTargets(family, all, config.target_modules);
  const chosen = given.modules ?? ranksOf(config, targetModules(all, model.head.name, target_modules));
  const modules = adaptedModules(model, config, chosen);
  const kind = kindOf(config.kind);
  const parameters = parametersOf(model, kind, modules, start);
  const pairs = Object.assign(new Map<Linear, LinearAdapter>(), {
    tables: tables && tableMap(model, tables),
  });
  for (const [i, module] of modules.entries())
    pairs.set(module.linear, kind.operation(parameters[i]!, module, config.lora_dropout));
  const flat = parameters.flatMap((own) => Object.values(own));
  const detach = (): void => {
    if (model.adapter === pairs) model.adapter = undefined;
  };
  return {
    config: { ...config, target_modules },
    ...{ modules, pairs, parameters: flat, tables, detach },
    tableNames: { embedding: model.embedding.name, head: model.head.name },
    taskType: family.taskType,
    attach: () => {
      model.adapter = pairs;
    },
    dispose: () => {
      detach();
      for (const p of flat) p.value.release();
      if (tables) freeTables(tables);
    },
  };
}

function adaptedModules(model: CausalLM, config: LoraConfig, chosen: readonly ChosenModule[]): LoraModule[] {
  const names = chosen.map(({ name }) => name);
  const scaling = moduleScaling(config, names);
  return chosen.map(({ name, r, outFeatures }) => {
    const linear = model.linears.get(name)!;
    const shape = { inFeatures: linear.inFeatures, outFeatures: outFeatures ?? linear.outFeatures };
    return { name, linear, r, ...shape, scaling: scaling(name, r), stream: streamOf(name) };
  });
}

/** Each module's tensors, one behind the other in one block of memory, so that the optimizer updates all in one go. */
function parametersOf(
  { backend }: CausalLM,
  kind: AdapterKind,
  modules: readonly LoraModule[],
  start: LoraStart,
): Record<string, Parameter>[] {
  const tensors = Object.entries(kind.tensors);
  const numel = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const size = modules.reduce((n, m) => tensors.reduce((sum, [, t]) => sum + numel(t.shape(m)), n), 0);
  const block = Tensor.empty(backend, [size]);
  let at = 0;
  const made = modules.map((module) => {
    const own: Record<string, Parameter> = {};
    for (const [tensor, rule] of tensors) {
      const shape = rule.shape(module);
      const value = block.view(shape, at);
      at += value.length;
      const values =
        'source' in start
          ? start.source(module.name, tensor, shape)
          : rule.start(module, start.seed, module.linear.weight);
      if (typeof values === 'function') values(value);
      else backend.upload(values, value);
      own[tensor] = new Parameter(`${module.name}.${tensor}`, value);
    }
    return own;
  });
  block.release();
  return made;
}

/** A module's own stream of random numbers: FNV-1a of its name, so that it does not depend on which others are trained. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
