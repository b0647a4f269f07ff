/**
 * NVRTC: the kernels' CUDA C++ becomes machine code for the card at hand, and is kept on disk by a hash of sources, options and
 * compiler, so that only the first use of a kernel waits for it.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load } from 'koffi';
import { writeFileAtomic } from '../../util/atomic.js';
import { cacheFolder } from '../../util/environment.js';

export type Defines = Readonly<Record<string, string | number>>;

export interface KernelCompiler {
  /**
   * Machine code, or PTX where NVRTC is older than the card, of kernels/NAME.cu, and whether it comes from the cache, which `anew`
   * passes by. Throws Error with the compiler's words.
   */
  compile(
    name: string,
    defines: Defines,
    anew?: boolean,
  ): { readonly code: Uint8Array; readonly cached: boolean };
}

/** nvrtc.h; handles as numbers. */
interface Nvrtc {
  readonly nvrtcVersion: (major: number[], minor: number[]) => number;
  readonly nvrtcGetNumSupportedArchs: (count: number[]) => number;
  readonly nvrtcGetSupportedArchs: (archs: Int32Array) => number;
  readonly nvrtcCreateProgram: (
    program: (number | bigint)[],
    source: string,
    name: string,
    count: number,
    headers: string[],
    names: string[],
  ) => number;
  readonly nvrtcCompileProgram: (program: number, count: number, options: string[]) => number;
  readonly nvrtcGetProgramLogSize: (program: number, size: (number | bigint)[]) => number;
  readonly nvrtcGetProgramLog: (program: number, log: Uint8Array) => number;
  readonly nvrtcGetCUBINSize: (program: number, size: (number | bigint)[]) => number;
  readonly nvrtcGetCUBIN: (program: number, code: Uint8Array) => number;
  readonly nvrtcGetPTXSize: (program: number, size: (number | bigint)[]) => number;
  readonly nvrtcGetPTX: (program: number, code: Uint8Array) => number;
  readonly nvrtcDestroyProgram: (program: (number | bigint)[]) => number;
}

const PROTOTYPES: Readonly<Record<keyof Nvrtc, string>> = {
  nvrtcVersion: '_Out_ int *major, _Out_ int *minor',
  nvrtcGetNumSupportedArchs: '_Out_ int *count',
  nvrtcGetSupportedArchs: '_Out_ int *archs',
  nvrtcCreateProgram:
    '_Out_ uint64_t *program, const char *source, const char *name, int count, const char **headers, const char **names',
  nvrtcCompileProgram: 'uint64_t program, int count, const char **options',
  nvrtcGetProgramLogSize: 'uint64_t program, _Out_ uint64_t *size',
  nvrtcGetProgramLog: 'uint64_t program, _Out_ uint8_t *log',
  nvrtcGetCUBINSize: 'uint64_t program, _Out_ uint64_t *size',
  nvrtcGetCUBIN: 'uint64_t program, _Out_ uint8_t *code',
  nvrtcGetPTXSize: 'uint64_t program, _Out_ uint64_t *size',
  nvrtcGetPTX: 'uint64_t program, _Out_ uint8_t *code',
  nvrtcDestroyProgram: '_Inout_ uint64_t *program',
};

/** A compiler for cards of a compute capability (90 for 9.0), with the NVRTC at `path`. */
export function createCompiler(path: string, capability: number): KernelCompiler {
  // NVRTC asks the system's loader for its other half by name alone; what is loaded already is found so.
  for (const file of readdirSync(dirname(path)))
    if (/nvrtc-builtins.*\.(so[.\d]*|dll)$/.test(file) && !file.includes('.alt.'))
      load(join(dirname(path), file));
  const library = load(path);
  const nvrtc = Object.fromEntries(
    Object.entries(PROTOTYPES).map(([name, parameters]) => [
      name,
      library.func(`int ${name}(${parameters})`),
    ]),
  ) as unknown as Nvrtc;
  const version: [number[], number[]] = [[0], [0]];
  nvrtc.nvrtcVersion(...version);
  const target = architecture(nvrtc, capability);
  const sources = sourceFolder();
  const headers = readdirSync(sources)
    .filter((file) => file.endsWith('.cuh'))
    .sort();
  const texts = headers.map((file) => readFileSync(join(sources, file), 'utf8'));
  const folder = join(cacheFolder(), 'cuda');

  return {
    compile(name, defines, anew = false) {
      // Not as options: NVRTC reads headers of its own before the source, in which a macro called T would stand for other things.
      const macros = Object.entries(defines).map(([key, value]) => `#define ${key} ${value}\n`);
      const text = readFileSync(join(sources, `${name}.cu`), 'utf8');
      const source = `${macros.join('')}#line 1 "${name}.cu"\n${text}`;
      const options = [`--gpu-architecture=${target}`, '--std=c++17', '-default-device'];
      const hash = createHash('sha256');
      for (const part of [version.join('.'), source, ...headers, ...texts, ...options])
        hash.update(`${part}\0`);
      const cached = join(
        folder,
        `${hash.digest('hex').slice(0, 24)}.${target.startsWith('sm') ? 'cubin' : 'ptx'}`,
      );
      if (!anew && existsSync(cached)) return { code: readFileSync(cached), cached: true };
      const code = build(nvrtc, `${name}.cu`, source, headers, texts, options);
      try {
        mkdirSync(folder, { recursive: true });
        writeFileAtomic(cached, code);
      } catch {
        // A folder that cannot be written costs the next start its time, and nothing else.
      }
      return { code, cached: false };
    },
  };
}

/** `sm_90a` for 9.0, with all that this card alone has; PTX of the newest that NVRTC knows for a card that is newer. */
function architecture(nvrtc: Nvrtc, capability: number): string {
  const count = [0];
  nvrtc.nvrtcGetNumSupportedArchs(count);
  const known = new Int32Array(count[0]!);
  nvrtc.nvrtcGetSupportedArchs(known);
  if (known.includes(capability)) return `sm_${capability}${capability >= 90 ? 'a' : ''}`;
  const newest = Math.max(...known.filter((arch) => arch <= capability));
  if (!Number.isFinite(newest)) {
    throw new Error(
      `this NVRTC compiles for compute capability ${known.join(', ')}, the card has ${capability}`,
    );
  }
  return `compute_${newest}`;
}

function build(
  nvrtc: Nvrtc,
  name: string,
  source: string,
  headers: string[],
  texts: string[],
  options: string[],
): Uint8Array {
  const program: (number | bigint)[] = [0];
  const made = nvrtc.nvrtcCreateProgram(program, source, name, headers.length, texts, headers);
  if (made !== 0) throw new Error(`nvrtcCreateProgram failed for ${name}: error ${made}`);
  const handle = Number(program[0]);
  const read = (
    size: (program: number, size: (number | bigint)[]) => number,
    get: (program: number, bytes: Uint8Array) => number,
  ): Uint8Array => {
    const length: (number | bigint)[] = [0];
    size(handle, length);
    const bytes = new Uint8Array(Number(length[0]));
    get(handle, bytes);
    return bytes;
  };
  try {
    const compiled = nvrtc.nvrtcCompileProgram(handle, options.length, options);
    if (compiled !== 0) {
      const log = read(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog);
      throw new Error(
        `${name} does not compile (${options.join(' ')}, ${source.slice(0, source.indexOf('#line')).trim().replaceAll('\n', ', ')}):\n${Buffer.from(log).toString('utf8').replace(/\0$/, '')}`,
      );
    }
    return options[0]!.includes('=sm_')
      ? read(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
      : read(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX);
  } finally {
    nvrtc.nvrtcDestroyProgram(program);
  }
}

/** The kernels' sources stand in src alone; from dist they are found there. */
export function sourceFolder(): string {
  const places = ['./kernels/', '../../../src/backends/cuda/kernels/'];
  const found = places.map((p) => fileURLToPath(new URL(p, import.meta.url))).find((p) => existsSync(p));
  if (!found) throw new Error('the CUDA kernels are not where the package keeps them');
  return found;
}
