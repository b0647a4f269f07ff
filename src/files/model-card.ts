/** A model's card, README.md: YAML between two lines of dashes, then Markdown (https://huggingface.co/docs/hub/model-cards). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readText } from '../util/read.js';

export const CARD_FILE = 'README.md';

/** The metadata at the beginning of a folder's card; empty where there is none that can be read. */
export function readCard(folder: string): Record<string, unknown> {
  const path = join(folder, CARD_FILE);
  if (!existsSync(path)) return {};
  const [, yaml] = /^---\r?\n(.*?)\r?\n---/s.exec(readText(path)) ?? [];
  if (yaml === undefined) return {};
  try {
    const card: unknown = parse(yaml);
    return typeof card === 'object' && card !== null ? (card as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
