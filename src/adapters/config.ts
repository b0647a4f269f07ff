/** What an adapter is told: names and meanings are PEFT's. */

import { checkBelowOne, checkNumber, checkWhole } from '../util/checks.js';
import type { AdapterKindName } from './kinds/index.js';
import { patternValues, type TargetModules } from './targets.js';

/** PEFT’s LoraConfig (Hu et al., arXiv 2106.09685), as far as Westwind trains it. */
export interface LoraConfig {
  /** LoRA itself where absent. */
  readonly kind?: AdapterKindName;
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly use_rslora: boolean;
  /**
   * Names or name endings (`ownTargets`); or 'all-linear' (all but the output head); or a regular expression for the whole name.
   */
  readonly target_modules: TargetModules;
  /** Ranks and alphas of modules whose name ends in a key or matches it as a regular expression. */
  readonly rank_pattern?: Readonly<Record<string, number>> | null | undefined;
  readonly alpha_pattern?: Readonly<Record<string, number>> | null | undefined;
}

/** Beyond it a pair is larger than any layer that it would update. */
export const MOST_RANK = 1 << 16;

/** Throws RangeError or TypeError, which names the option. */
export function checkConfig({ r, lora_alpha, lora_dropout, rank_pattern, alpha_pattern }: LoraConfig): void {
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

/** The rank of each of the modules. */
export function ranksOf(
  config: LoraConfig,
  modules: readonly string[],
): { readonly name: string; readonly r: number }[] {
  const ranks = patternValues(config.rank_pattern, modules, 'lora.rank_pattern');
  return modules.map((name) => ({ name, r: ranks.get(name) ?? config.r }));
}
