/** Which of a model's Linears `target_modules` means: PEFT's rules, and one name for what architectures name differently. */

import { UserError } from '../util/errors.js';
import { boundedTest } from '../util/patterns.js';
import type { LoraConfig } from './lora.js';

/**
 * What other architectures have in the place of the Linears that most decoders have, so that one configuration serves them all, as PEFT's
 * defaults do. T5's names, then those of Falcon and GPT-NeoX, which have queries, keys and values in one.
 */
const IN_PLACE: Readonly<Record<string, readonly string[]>> = {
  q_proj: ['q', 'query_key_value'],
  k_proj: ['k', 'query_key_value'],
  v_proj: ['v', 'query_key_value'],
  o_proj: ['o', 'dense'],
  gate_proj: ['wi_0'],
  up_proj: ['wi_1', 'dense_h_to_4h'],
  down_proj: ['wo', 'dense_4h_to_h'],
};

/** `targets` by the names of the model's own modules: q_proj is q in a T5, query_key_value in a Falcon. A string stays as it is. */
export function ownTargets(
  names: readonly string[],
  targets: LoraConfig['target_modules'],
): LoraConfig['target_modules'] {
  if (typeof targets === 'string') return targets;
  const own = (target: string): string =>
    [target, ...(IN_PLACE[target] ?? [])].find((name) => names.some((n) => isNamed(n, name))) ?? target;
  return [...new Set(targets.map(own))];
}

/** The names that `target_modules` picks, as PEFT picks them. Throws UserError when it picks none. */
export function targetModules(
  names: readonly string[],
  head: string,
  targets: LoraConfig['target_modules'],
): string[] {
  const picked = names.filter((name) => {
    if (targets === 'all-linear') return name !== head;
    if (typeof targets === 'string') return wholeMatch(targets, name);
    return targets.some((target) => isNamed(name, target));
  });
  const unknown =
    typeof targets === 'string'
      ? []
      : targets.filter((target) => !names.some((name) => isNamed(name, target)));
  if (picked.length === 0 || unknown.length > 0) {
    const endings = [...new Set(names.map((n) => n.slice(n.lastIndexOf('.') + 1)))];
    const what = unknown.length > 0 ? unknown.join(', ') : JSON.stringify(targets);
    throw new UserError(
      `lora.target_modules: ${what} matches no module; this model has ${endings.join(', ')}`,
    );
  }
  return picked;
}

/** Whether a regular expression is good for the whole name. Throws UserError when it is none. */
export function wholeMatch(expression: string, name: string): boolean {
  let pattern: RegExp;
  try {
    pattern = new RegExp(`^(?:${expression})$`);
  } catch {
    throw new UserError(`lora.target_modules: '${expression}' is not a regular expression`);
  }
  return boundedTest(pattern, name);
}

function isNamed(name: string, target: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}
