/** What an earlier attempt trained, and what a training begins with. */

import { join } from 'path';
import { type LoraAdapter, createLora } from '../../adapters/lora.js';
import { readAdapterConfig } from '../../adapters/peft-config.js';
import { loadAdapter, readAdapter } from '../../adapters/peft.js';
import { targetModules, ownTargets } from '../../adapters/targets.js';
import { familyOf } from '../../models/families/index.js';
import { loadModel } from '../../models/load.js';
import type { CausalLM } from '../../models/model.js';
import { UserError } from '../../util/errors.js';
import { canonicalJson } from '../config/hash.js';
import { TASK_FILES } from '../store/layout.js';
import type { Unit, Shared } from './unit.js';

export function isTrained({ folder }: Unit): boolean {
  return TASK_FILES.trained.isIn(folder);
}

/** Where what is trained is saved. */
export function savedPath({ folder, settings }: Pick<Unit, 'folder' | 'settings'>): string {
  return join(folder, settings.lora === false ? TASK_FILES.model : TASK_FILES.adapter);
}

/** The tuned model over `base`, as it was saved; disposing takes the adapter off, or frees the model that was trained whole. */
export async function loadTuned(
  { backend }: Pick<Shared, 'backend'>,
  unit: Pick<Unit, 'folder' | 'settings'>,
  base: () => Promise<CausalLM>,
): Promise<{ readonly model: CausalLM; dispose(): void }> {
  const saved = savedPath(unit);
  if (unit.settings.lora === false) {
    const model = await loadModel(backend, saved, { dtype: 'f32' });
    return { model, dispose: () => model.dispose() };
  }
  const model = await base();
  const adapter = loadAdapter(model, saved);
  return { model, dispose: () => adapter.dispose() };
}

/** A new adapter, or one that goes on from a finished one; undefined where every weight is trained. */
export function startingAdapter(
  model: CausalLM,
  { lora, adapter: folder }: Unit['settings'],
  seed: number,
): LoraAdapter | undefined {
  if (lora === false) return undefined;
  if (folder === undefined) return createLora(model, lora, { seed });
  const adapter = readAdapter(model, folder, { lora_dropout: lora.lora_dropout });
  try {
    // Taken from there, they agree, whatever else chooses among them.
    if (canonicalJson(lora.target_modules) === canonicalJson(readAdapterConfig(folder).target_modules))
      return adapter;
    const all = [...model.linears.keys()];
    const wanted = new Set(
      targetModules(all, model.head.name, ownTargets(familyOf(model.config), all, lora.target_modules)),
    );
    const there = new Set(adapter.modules.map(({ name }) => name));
    const differing = all.find((name) => wanted.has(name) !== there.has(name));
    if (differing !== undefined)
      throw new UserError(
        `lora.target_modules: ${differing} is ${wanted.has(differing) ? 'among them, but has no pair' : 'not among them, but has a pair'} ` +
          `in the adapter in ${folder}: leave target_modules out, and they are taken from there`,
      );
    return adapter;
  } catch (error) {
    adapter.dispose();
    throw error;
  }
  return adapter;
}
