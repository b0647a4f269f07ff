/** The pictures of README.md are those that scripts/pictures.ts makes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { quotedRun, terminalPicture } from '../../scripts/pictures.js';
import { ROOT } from './markdown.js';

test('the terminal of README.md shows what docs/runs.md quotes', () => {
  const { command, output } = quotedRun();
  assert.match(command, /^npx westwind run /);
  const drawn = readFileSync(join(ROOT, 'docs/pictures/terminal.svg'), 'utf8');
  assert.equal(drawn, terminalPicture(command, output));
});
