/**
 * Lets Node.js import TypeScript, which version 20 does not by itself: types are taken out, nothing is checked. For users' checks; see
 * load.ts.
 */

import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';
import { fileURLToPath } from 'node:url';
import { transform } from 'sucrase';

const isTypeScript = (url: string): boolean => /^file:.*\.[cm]?ts$/.test(url);

export const load: LoadHook = async (url, context, nextLoad) => {
  if (!isTypeScript(url)) return nextLoad(url, context);
  const path = fileURLToPath(url);
  const source = await readFile(path, 'utf8');
  const { code } = transform(source, {
    transforms: ['typescript'],
    disableESTransforms: true,
    filePath: path,
  });
  return { format: 'module', source: code, shortCircuit: true };
};

/** TypeScript names another of its files by the name that it would have in JavaScript. */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    const relative = /^\.{1,2}\/.*\.[cm]?js$/.test(specifier);
    if (!relative || context.parentURL === undefined || !isTypeScript(context.parentURL)) throw error;
    return nextResolve(specifier.replace(/js$/, 'ts'), context);
  }
};
