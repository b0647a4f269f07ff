/** The options that choose where to compute, for the verbs that do. */

import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Backend } from '../backends/contract.js';
import { createBackend } from '../backends/select.js';
import { warn } from './output.js';

export interface DeviceFlags {
  readonly device: string;
  readonly threads?: number;
}

export function deviceOption(description: string): Option {
  return new Option('--device <name>', description).choices(['auto', 'cuda', 'cpu', 'reference']);
}

export function deviceOptions(command: Command): Command {
  return command
    .addOption(deviceOption('where to compute').default('auto'))
    .option('--threads <n>', 'threads of the cpu backend (default: all cores)', positiveInteger);
}

/** The backend that the flags ask for; says so on standard error when it is not the one they would have liked. */
export async function openBackend(flags: DeviceFlags): Promise<Backend> {
  const { backend, notice } = await createBackend(
    flags.device,
    flags.threads === undefined ? {} : { threads: flags.threads },
  );
  if (notice !== undefined) warn(notice);
  return backend;
}

export function positiveInteger(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('a whole number from 1 is wanted');
  return n;
}

export function nonNegativeInteger(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 0) throw new InvalidArgumentError('a whole number from 0 is wanted');
  return n;
}

export function nonNegative(text: string): number {
  const n = Number(text);
  if (!(n >= 0) || text.trim() === '') throw new InvalidArgumentError('a number from 0 is wanted');
  return n;
}
