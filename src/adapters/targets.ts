/** Which of a model's Linears `target_modules` means: PEFT's rules, and one name for what architectures name differently. */

import { embeddingNames } from '../models/families/index.js';
import type { Family } from '../models/family.js';
import { UserError } from '../util/errors.js';
import { Pattern } from '../util/pattern.js';

/** `target_modules`, as LoraConfig has it. */
export type TargetModules = readonly string[] | string;

/**
 * `targets` by the names of the model's own modules, so that one configuration serves all architectures, as PEFT's defaults do: q_proj is q
 * in a T5, query_key_value in a Falcon. A string stays as it is.
 */
export function ownTargets(
  family: Pick<Family, 'modules'>,
  names: readonly string[],
  targets: TargetModules,
): TargetModules {
  if (typeof targets === 'string') return targets;
  const there = (target: string): boolean => names.some((name) => isNamed(name, target));
  const modules = new Map<string, string>(Object.entries(family.modules));
  const own = (target: string): string => {
    const name = modules.get(target);
    return name !== undefined && !there(target) && there(name) ? name : target;
  };
  return [...new Set(targets.map(own))];
}

/**
 * The names that a configuration's `target_modules` picks, as PEFT picks them. Throws UserError when it picks none, or where one of the
 * targets is no module's.
 */
export function targetModules(names: readonly string[], head: string, targets: TargetModules): string[] {
  const picked = matchModules(names, head, { target_modules: targets }, 'lora');
  const unknown =
    typeof targets === 'string'
      ? []
      : targets.filter((target) => !names.some((name) => isNamed(name, target)));
  if (picked.length === 0 || unknown.length > 0) throw noModule('lora', names, targets, unknown);
  return picked;
}

/** The fields of PEFT's configuration that choose modules. */
export interface TargetRules {
  readonly target_modules: TargetModules;
  readonly exclude_modules?: readonly string[] | string | null | undefined;
  /** Modules that are kept whole carry no pair. */
  readonly modules_to_save?: readonly string[] | null | undefined;
  readonly layers_to_transform?: readonly number[] | number | null | undefined;
  readonly layers_pattern?: readonly string[] | string | null | undefined;
}

/**
 * The names that an adapter's configuration picks. Throws UserError when it picks none; a target that is no module's says nothing, as in
 * PEFT: such adapters are saved.
 * @param where the configuration's name in messages
 */
export function adapterModules(
  names: readonly string[],
  head: string,
  rules: TargetRules,
  where: string,
): string[] {
  const picked = matchModules(names, head, rules, where);
  if (picked.length === 0) throw noModule(where, names, rules.target_modules, []);
  return picked;
}

/** PEFT's check_target_module_exists, over all names at once. */
function matchModules(names: readonly string[], head: string, rules: TargetRules, where: string): string[] {
  const { target_modules: targets } = rules;
  const at = (field: string): string => `${where}.${field}`;
  const whole = (expression: string, field: string): Set<string> => {
    const found = new Pattern(expression, at(field)).matches(names);
    return new Set(names.filter((_, i) => found[i]));
  };
  const named = (list: readonly string[]): Set<string> =>
    new Set(names.filter((name) => list.some((target) => isNamed(name, target))));
  const { exclude_modules: exclude = [], modules_to_save: kept } = rules;
  const excluded = typeof exclude === 'string' ? whole(exclude, 'exclude_modules') : named(exclude ?? []);
  for (const expression of kept ?? []) {
    const found = new Pattern(expression, at('modules_to_save'), {
      before: '(?:|.*\\.)',
      after: '(?:|\\..*)',
    });
    found.matches(names).forEach((yes, i) => yes && excluded.add(names[i]!));
  }
  const layers = layerFilter(rules, names, where);
  let picked: (name: string) => boolean;
  if (typeof targets !== 'string') {
    const found = named(targets);
    picked = (name) => found.has(name) && (targets.includes(name) || layers(name));
  } else if (targets.toLowerCase() === 'all-linear') picked = (name) => name !== head;
  else {
    const found = whole(targets, 'target_modules');
    picked = (name) => found.has(name);
  }
  return names.filter((name) => picked(name) && !excluded.has(name));
}

/** `layers_to_transform`, by the first number in a name or, with `layers_pattern`, by the one behind that. */
function layerFilter(rules: TargetRules, names: readonly string[], where: string): (name: string) => boolean {
  const { target_modules: targets, layers_to_transform: layers, layers_pattern: patterns } = rules;
  const wanted = typeof layers === 'number' ? [layers] : (layers ?? []);
  const behind = (typeof patterns === 'string' ? [patterns] : (patterns ?? [])).filter((p) => p !== '');
  if (wanted.length === 0 && behind.length === 0) return () => true;
  // PEFT's own refusals.
  if (typeof targets === 'string')
    throw new UserError(
      `${where}: layers_to_transform and layers_pattern go with a list of target_modules, not with ${quote(targets)}`,
    );
  if (wanted.length === 0)
    throw new UserError(`${where}: layers_pattern goes with layers_to_transform, which is not given`);
  const kept = new Set<string>();
  const left = new Set(names);
  const take = (fits: (heads: readonly string[]) => boolean[]): void => {
    for (const name of left) {
      const numbers = [...name.matchAll(/\.(\d+)(?=\.)/g)];
      const first = fits(numbers.map((m) => name.slice(0, m.index))).indexOf(true);
      if (first < 0) continue;
      left.delete(name);
      if (wanted.includes(Number(numbers[first]![1]))) kept.add(name);
    }
  };
  if (behind.length === 0) take((heads) => heads.map((head) => head.includes('.')));
  for (const expression of behind) {
    const pattern = new Pattern(expression, `${where}.layers_pattern`, { before: '.*?\\.' });
    take((heads) => pattern.matches(heads));
  }
  return (name) => kept.has(name);
}

/** The values of `rank_pattern` or `alpha_pattern` by module: of the first key that matches the name's end from a dot on. */
export function patternValues(
  patterns: Readonly<Record<string, number>> | null | undefined,
  names: readonly string[],
  where: string,
): Map<string, number> {
  const values = new Map<string, number>();
  for (const [key, value] of Object.entries(patterns ?? {})) {
    const found = new Pattern(key, where, { before: '(?:.*\\.)?' }).matches(names);
    names.forEach((name, i) => {
      if (found[i] && !values.has(name)) values.set(name, value);
    });
  }
  return values;
}

/** Whether `target` ends as the embeddings of models do, GPT-2's among them. */
function namesEmbedding(target: string): boolean {
  return [...embeddingNames(), 'wte'].some((name) => new RegExp(`(^|[.*])${name}\\$?$`).test(target));
}

function noModule(
  where: string,
  names: readonly string[],
  targets: TargetModules,
  unknown: readonly string[],
): UserError {
  const endings = [...new Set(names.map((n) => n.slice(n.lastIndexOf('.') + 1)))];
  const what = unknown.length > 0 ? unknown.join(', ') : JSON.stringify(targets);
  const named = unknown.length > 0 ? unknown : [targets].flat();
  const why = named.some(namesEmbedding)
    ? 'is the embedding, on which LoRA is not supported'
    : 'matches no module';
  return new UserError(`${where}.target_modules: ${what} ${why}; this model has ${endings.join(', ')}`);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

function isNamed(name: string, target: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}
