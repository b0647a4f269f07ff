/** The shapes that benchmarks know by name, or a model folder's. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { benchShapes, familyOf } from '../../models/families/index.js';
import type { BenchShape } from '../../models/family.js';
import { readModelJson } from '../../models/config.js';
import { UserError } from '../../util/errors.js';

export function shapeNames(): string[] {
  return Object.keys(benchShapes());
}

/** A shape by its name, or that of a model folder (its config.json alone is read). Throws UserError for neither. */
export function benchShape(name: string): BenchShape {
  const [shapes, shape] = [benchShapes(), name.toLowerCase()];
  if (Object.hasOwn(shapes, shape)) return shapes[shape]!;
  if (!existsSync(name))
    throw new UserError(
      `there is no shape '${name}': ${Object.keys(shapes).join(', ')} are known, or give a model folder`,
    );
  const path = join(name, 'config.json');
  const config = readModelJson(path);
  const family = familyOf(config, path);
  return { config, ...family.benchRows(family.contextLength(config, path)) };
}
