/** The architectures, by config.json's `model_type`: each is a file of this folder and its line here. */

import type { GgufFile } from '../../files/index.js';
import { UserError } from '../../util/errors.js';
import type { BenchShape, CommonModule, Family } from '../family.js';
import { GgufFacts } from '../gguf-facts.js';
import { falcon } from './falcon.js';
import { gemma3_text } from './gemma3_text.js';
import { gpt_neox } from './gpt_neox.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { t5 } from './t5.js';

/** In the order in which benchmarks name their shapes. */
const FAMILIES: Readonly<Record<string, Family>> = {
  mistral,
  llama,
  falcon,
  gpt_neox,
  t5,
  qwen2,
  qwen3,
  gemma3_text,
};

/** The model types that are known, sorted. */
export function architectures(): string[] {
  return Object.keys(FAMILIES).sort();
}

/** The family of a config.json. Throws UserError, which begins with `path`, where it names none that is known. */
export function familyOf({ model_type: type }: { readonly model_type?: unknown }, path = 'config'): Family {
  if (typeof type !== 'string') throw new UserError(`${path}: model_type is missing`);
  if (Object.hasOwn(FAMILIES, type)) return FAMILIES[type]!;
  throw new UserError(
    `${path}: model_type '${type}' is not supported; Westwind knows ${architectures().join(', ')}`,
  );
}

/** The config.json of the model that a GGUF file holds. Throws UserError for an architecture that is not read. */
export function configOfGguf(file: GgufFile): Record<string, unknown> {
  const key = file.metadata.get('general.architecture');
  const architecture = key?.type === 'string' ? key.value : 'none';
  const known = Object.values(FAMILIES).flatMap(({ fromGguf }) => fromGguf ?? []);
  const from = known.find((one) => one.architecture === architecture);
  if (from) return from.config(new GgufFacts(file, architecture));
  throw new UserError(
    `${file.path}: the architecture '${architecture}' is not read from GGUF; Westwind reads ${known.map((one) => one.architecture).join(', ')}`,
  );
}

/** The ends of names that the families have for their embeddings. */
export function embeddingNames(): Set<string> {
  return new Set(Object.values(FAMILIES).map(({ embedding }) => embedding));
}

/** What each family calls some modules, where that is not the same: each answer sorted, without repetition. */
export function moduleNames(modules: readonly CommonModule[]): string[][] {
  const all = Object.values(FAMILIES).map((family) =>
    [...new Set(modules.map((m) => family.modules[m] ?? m))].sort(),
  );
  return [...new Map(all.map((names) => [names.join(), names])).values()];
}

/** The shapes of all families by their names. */
export function benchShapes(): Readonly<Record<string, BenchShape>> {
  return Object.assign({}, ...Object.values(FAMILIES).map(({ shapes }) => shapes)) as Record<
    string,
    BenchShape
  >;
}
