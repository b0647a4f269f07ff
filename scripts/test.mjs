// Runs every *.test.ts below the folders named, by node's own test runner. Node.js 20 takes no globs, hence this file.
import { readdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const roots = process.argv.slice(2).filter((a) => !a.startsWith('-'));
const flags = process.argv.slice(2).filter((a) => a.startsWith('-'));
const files = roots.flatMap((root) =>
  root.endsWith('.ts')
    ? [root]
    : readdirSync(root, { recursive: true })
        .map(String)
        .filter((f) => f.endsWith('.test.ts'))
        .map((f) => join(root, f))
        .sort(),
);
// Most files wait for processes of their own much of the time: one more than node would run at once.
const concurrency = `--test-concurrency=${availableParallelism()}`;
const args = ['--import', 'tsx', '--test', concurrency, ...flags, ...files];
const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
process.exit(status ?? 1);
