/** Where Debian, Ubuntu and GitHub's machines have a Chromium that playwright-core can drive; undefined: nowhere. */

import { existsSync } from 'node:fs';

export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
);
