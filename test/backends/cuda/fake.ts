/** The fake NVIDIA libraries of fake/*.c, compiled once a process, and what tests ask of them. */

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from 'koffi';
import { findCompiler } from '../../../src/backends/cpu/compile.js';

export interface Fake {
  /** For WESTWIND_CUDA. */
  readonly folder: string;
  readonly driver: string;
  readonly nvrtc: string;
  set(name: 'COUNT' | 'CAPABILITY' | 'MEMORY' | 'FAIL' | 'LOG' | 'DELAY', value: string | number): void;
  /** Launches since the log was set. */
  log(): string[];
  /** Programs that the fake NVRTC was given. */
  compiled(): number;
}

let made: Fake | undefined;

export function fake(): Fake {
  if (made) return made;
  // A child takes what its parent has made.
  const given = process.env['WW_FAKE_FOLDER'];
  const folder = given ?? mkdtempSync(join(tmpdir(), 'westwind-fake-'));
  const build = (source: string, name: string): string => {
    const path = join(folder, name);
    if (given !== undefined) return path;
    const flags = ['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'];
    const from = join(import.meta.dirname, 'fake', source);
    const { status, stderr } = spawnSync(findCompiler()!.command, [...flags, '-o', path, from], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
    return path;
  };
  const driver = build('driver.c', 'libcuda.so.1');
  const nvrtc = build('toolkit.c', 'libnvrtc.so.13');
  if (given === undefined) copyFileSync(nvrtc, join(folder, 'libcublasLt.so.13'));
  const library = load(driver);
  const set = library.func('void ww_fake_set(const char *name, const char *value)') as (
    name: string,
    value: string,
  ) => void;
  const log = library.func('const char *ww_fake_log()') as () => string;
  const compiled = load(nvrtc).func('int ww_fake_compiled()') as () => number;
  return (made = {
    ...{ folder, driver, nvrtc, compiled },
    set: (name, value) => set(name, String(value)),
    log: () => log().split('\n').filter(Boolean),
  });
}
