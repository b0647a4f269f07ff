/**
 * Whether a change made training or answering slower: `npm run bench -- --base main`. The base revision is put into a worktree of its own,
 * and both compute the same by turns, so that whatever else the machine does meets both. A line a kind of work tells how much longer it
 * takes now than at the base, with the 95 % interval over the pairs of turns; the exit code is 1 where one took longer than `--limit`
 * allows and its interval says so, too.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const ROOT = resolve(import.meta.dirname, '..');

const MODEL = ['--model', 'examples/model', '--random-weights', '--weights', 'nf4'];

/** `westwind bench`'s options for each kind of work. */
const WORK: Readonly<Record<string, readonly string[]>> = {
  'training, 4 x 250': [...MODEL, '--what', 'train', '--batch', '4', '--length', '250', '--steps', '12'],
  'generation, 1 prompt': [
    ...[...MODEL, '--what', 'generate', '--batch', '1'],
    ...['--prompt-tokens', '64', '--new-tokens', '128'],
  ],
  'generation, 16 prompts': [
    ...[...MODEL, '--what', 'generate', '--batch', '16'],
    ...['--prompt-tokens', '64', '--new-tokens', '128'],
  ],
};

/** Student's t for an interval of 95 %, by degrees of freedom from 1. */
const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

interface Ratio {
  /** How many times as long it takes now. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

/** The geometric mean of pairs' ratios, with its 95 % interval; at least two pairs. */
export function ratioOf(ratios: readonly number[]): Ratio {
  const logs = ratios.map(Math.log);
  const mean = logs.reduce((sum, x) => sum + x, 0) / logs.length;
  const variance = logs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (logs.length - 1);
  const half = (T[logs.length - 2] ?? T.at(-1)!) * Math.sqrt(variance / logs.length);
  return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}

/** Slower by more than the limit, and not by chance. */
export function isSlower({ ratio, low }: Ratio, limit: number): boolean {
  return ratio > limit && low > 1;
}

/** Tokens a second of a checkout. */
async function rate(folder: string, options: readonly string[]): Promise<number> {
  const command = ['--import', 'tsx', 'src/cli/main.ts', 'bench', '--json', ...options];
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd: folder });
  const { tokens_per_second: tokens } = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
    tokens_per_second: number;
  };
  return tokens;
}

/** How many times as long as the checkout `base` takes `other`, over that many pairs of turns. */
export async function compare(
  base: string,
  other: string,
  options: readonly string[],
  pairs: number,
): Promise<Ratio> {
  const ratios: number[] = [];
  // The first of each compiles kernels and fills the caches.
  for (const folder of [base, other]) await rate(folder, options);
  for (let pair = 0; pair < pairs; pair++) {
    const order = pair % 2 === 0 ? [base, other] : [other, base];
    const rates = new Map<string, number>();
    for (const folder of order) rates.set(folder, await rate(folder, options));
    ratios.push(rates.get(base)! / rates.get(other)!);
  }
  return ratioOf(ratios);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      /** A revision of git; by default what was committed last, so that work not committed yet is measured. */
      base: { type: 'string', default: 'HEAD' },
      pairs: { type: 'string', default: '6' },
      limit: { type: 'string', default: '1.1' },
      /** By default the CPU, and the GPU where there is one. */
      device: { type: 'string', multiple: true },
      threads: { type: 'string' },
    },
  });
  const pairs = Number(values.pairs);
  const limit = Number(values.limit);
  if (!(pairs >= 2) || !(limit > 0)) throw new Error('--pairs takes 2 or more, --limit a ratio above 0');
  const devices = values.device ?? ['cpu', ...(existsSync('/dev/nvidiactl') ? ['cuda'] : [])];
  const folder = mkdtempSync(join(tmpdir(), 'westwind-bench-'));
  const base = join(folder, 'base');
  execFileSync('git', ['worktree', 'add', '--quiet', '--detach', base, values.base], { cwd: ROOT });
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(base, 'node_modules'));
    for (const device of devices) {
      for (const [name, options] of Object.entries(WORK)) {
        const threads = values.threads === undefined ? [] : ['--threads', values.threads];
        const all = [...options, '--device', device, ...(device === 'cpu' ? threads : [])];
        const found = await compare(base, ROOT, all, pairs);
        const slow = isSlower(found, limit);
        const [ratio, low, high] = [found.ratio, found.low, found.high].map((x) => x.toFixed(3));
        console.log(
          `${device}  ${name}: ${ratio!} [${low!}, ${high!}] of the time at ${values.base}${slow ? '  SLOWER' : ''}`,
        );
        if (slow) process.exitCode = 1;
      }
    }
  } finally {
    execFileSync('git', ['worktree', 'remove', '--force', base], { cwd: ROOT });
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === import.meta.filename) await main();
