/**
 * Where NVIDIA's libraries are on a machine: the driver's own, and NVRTC and cuBLASLt of a CUDA 12 or 13 install, of the packages that
 * Python's users have, or wherever WESTWIND_CUDA points.
 */

import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { UserError } from '../../util/errors.js';

export interface ToolkitLibraries {
  readonly nvrtc: string;
  readonly cublasLt: string;
}

const WINDOWS = process.platform === 'win32';

/** File names in the order of preference. */
const FILES = WINDOWS
  ? {
      driver: ['nvcuda.dll'],
      nvrtc: ['nvrtc64_130_0.dll', 'nvrtc64_120_0.dll'],
      cublasLt: ['cublasLt64_13.dll', 'cublasLt64_12.dll'],
    }
  : {
      driver: ['libcuda.so.1', 'libcuda.so'],
      nvrtc: ['libnvrtc.so.13', 'libnvrtc.so.12', 'libnvrtc.so'],
      cublasLt: ['libcublasLt.so.13', 'libcublasLt.so.12', 'libcublasLt.so'],
    };

const NAMES = { nvrtc: 'NVRTC', cublasLt: 'cuBLASLt' } as const;

/** Where the system keeps the driver's library when its loader does not say. */
const DRIVER_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/lib/wsl/lib',
  '/usr/local/nvidia/lib64',
  '/usr/local/nvidia/lib',
  '/run/opengl-driver/lib',
];

/** The driver's library. Throws UserError where there is none. */
export function driverLibrary(env: NodeJS.ProcessEnv = process.env): string {
  const driver = findDriver(env);
  if (driver !== undefined) return driver;
  throw new UserError(
    `no NVIDIA driver was found (${FILES.driver[0]}): install it for this machine's GPU, or choose --device cpu`,
  );
}

/**
 * Of the likeliest folder that has one, the newest that the driver can serve: `newest` is the major version of its CUDA. Throws UserError
 * where one is missing; says which, and what to do.
 */
export function toolkitLibraries(env: NodeJS.ProcessEnv, newest: number): ToolkitLibraries {
  const folders = toolkitFolders(env);
  const find = (which: 'nvrtc' | 'cublasLt'): string => {
    const names = FILES[which].filter((name) => majorOf(name) <= newest);
    const found = firstFile(folders, names);
    if (found !== undefined) return found;
    throw new UserError(
      `${NAMES[which]} (${names.join(' or ')}) was found in none of ${folders.length} folders: install CUDA 12${newest > 12 ? ' or 13' : ''} ` +
        `(Debian: cuda-libraries; pip: nvidia-${which === 'nvrtc' ? 'cuda-nvrtc' : 'cublas'}), or name its folder in WESTWIND_CUDA`,
    );
  };
  return { nvrtc: find('nvrtc'), cublasLt: find('cublasLt') };
}

/** The driver's library, where there is one. */
export function findDriver(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const asked = list(env['WESTWIND_CUDA']);
  const loader = list(env['LD_LIBRARY_PATH']);
  if (WINDOWS) return firstFile([...asked, 'C:\\Windows\\System32'], FILES.driver);
  return firstFile([...asked, ...loader, ...DRIVER_FOLDERS], FILES.driver);
}

/** Folders that may hold NVRTC and cuBLASLt, the likeliest first. */
function toolkitFolders(env: NodeJS.ProcessEnv): string[] {
  const roots = [
    ...list(env['CUDA_HOME']),
    ...list(env['CUDA_PATH']),
    '/usr/local/cuda',
    ...matching('/usr/local', /^cuda-1[23]/),
    '/opt/cuda',
    '/usr/lib/nvidia-cuda-toolkit',
  ];
  const inRoot = (root: string): string[] => [
    join(root, 'lib64'),
    join(root, 'lib'),
    join(root, 'targets', 'x86_64-linux', 'lib'),
    join(root, 'targets', 'sbsa-linux', 'lib'),
    join(root, 'bin'),
  ];
  const folders = [
    ...list(env['WESTWIND_CUDA']).flatMap((root) => [root, ...inRoot(root)]),
    ...roots.flatMap(inRoot),
    ...list(env['LD_LIBRARY_PATH']),
    ...DRIVER_FOLDERS,
    ...sitePackages(env).flatMap((site) => matching(join(site, 'nvidia'), /./).map((p) => join(p, 'lib'))),
  ];
  return [...new Set(folders)].filter((folder) => existsSync(folder));
}

/** Folders of Python's packages; no Python is run for it. */
function sitePackages(env: NodeJS.ProcessEnv): string[] {
  const path = list(env['PATH']);
  const python = path.find((folder) => existsSync(join(folder, 'python3')));
  const prefixes = [
    env['VIRTUAL_ENV'] || undefined,
    env['CONDA_PREFIX'] || undefined,
    python === undefined ? undefined : dirname(python),
    join(homedir(), '.local'),
    '/usr/local',
    '/usr',
    ...matching('/opt', /./).map((folder) => join(folder, '.venv')),
  ];
  return prefixes
    .filter((p): p is string => p !== undefined)
    .flatMap((prefix) => [join(prefix, 'lib'), join(prefix, 'lib64')])
    .flatMap((lib) => matching(lib, /^python3/))
    .flatMap((lib) => [join(lib, 'site-packages'), join(lib, 'dist-packages')]);
}

/** Entries of a folder by name, the newest version first; none where it cannot be read. */
function matching(folder: string, name: RegExp): string[] {
  try {
    return readdirSync(folder)
      .filter((entry) => name.test(entry))
      .sort((a, b) => b.localeCompare(a, undefined, { numeric: true }))
      .map((entry) => join(folder, entry));
  } catch {
    return [];
  }
}

/** The folders of a variable that lists some. */
function list(value: string | undefined): string[] {
  return value?.split(delimiter).filter(Boolean) ?? [];
}

/** Of CUDA, as a library's name gives it; 0 where it does not. */
function majorOf(name: string): number {
  return Number(/1[23]/.exec(name)?.[0] ?? 0);
}

function firstFile(folders: readonly string[], names: readonly string[]): string | undefined {
  for (const folder of folders)
    for (const name of names) if (existsSync(join(folder, name))) return join(folder, name);
  return undefined;
}
