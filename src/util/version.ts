/** The version of this package, as its package.json says. */

import { readFileSync } from 'node:fs';

export function version(): string {
  const json = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return json.version;
}
