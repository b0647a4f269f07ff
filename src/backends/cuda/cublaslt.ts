/**
 * cuBLASLt's calls as functions. Addresses and handles are numbers; a call that makes or sets something throws where it fails, the others
 * return the library's status. Values follow cublasLt.h of CUDA 12 and 13.
 */

import { address as nativeAddress, alloc, load, view } from 'koffi';

export const TYPE = { f32: 0, bf16: 14 } as const;
export const COMPUTE_32F = 68;
export const DESCRIPTOR = { transA: 3, transB: 4 } as const;
export const PREFERENCE = {
  workspaceBytes: 1,
  reductionSchemes: 3,
  alignA: 5,
  alignB: 6,
  alignC: 7,
  alignD: 8,
} as const;
/** COMPUTE_TYPE and OUTPUT_TYPE: partial results are stored and added in order, not in place as they come. */
export const ORDERED_REDUCTIONS = 2 | 4;
/** cublasLtMatmulHeuristicResult_t: the algorithm, 64 bytes of it; workspace size, status, waves, reserved. */
export const RESULT_BYTES = 96;
export const WORKSPACE_AT = 64;

type Native = (...args: (number | bigint)[]) => number;

/** Sets the attribute `what` of what `on` is the handle of. */
type Setter = (on: number, what: number, number: number, bytes: 4 | 8) => void;

/** The calls, with the parameters of cublasLt.h. */
export interface CublasLt {
  readonly handle: number;
  readonly createDescriptor: (compute: number, scale: number) => number;
  readonly createLayout: (type: number, rows: number, cols: number, ld: number) => number;
  readonly createPreference: () => number;
  readonly setDescriptor: Setter;
  readonly setPreference: Setter;
  readonly heuristic: Native;
  readonly checkAlgorithm: Native;
  readonly multiply: Native;
}

/** Loads the library and makes a handle. */
export function openCublasLt(path: string): CublasLt {
  const library = load(path);
  const bind = (name: string, parameters: string): Native => {
    const native = library.func(`int ${name}(${parameters})`) as unknown as Native;
    return native;
  };
  const make = (name: string, parameters: string): ((...args: number[]) => number) => {
    const native = library.func(`int ${name}(_Out_ uint64_t *made${parameters})`) as unknown as (
      out: [number | bigint],
      ...args: number[]
    ) => number;
    return (...args) => {
      const out: [number | bigint] = [0];
      check(name, native(out, ...args));
      return Number(out[0]);
    };
  };
  const value = nativeMemory(16);
  const setter = (name: string): Setter => {
    const native = bind(name, 'uint64_t on, int what, uint64_t value, size_t bytes');
    return (on, what, number, bytes) => {
      value.view.setUint32(0, number, true);
      value.view.setUint32(4, 0, true);
      check('setting an attribute', native(on, what, value.at, bytes));
    };
  };
  const handle = make('cublasLtCreate', '')();
  const createDescriptor = make('cublasLtMatmulDescCreate', ', int compute, int scale');
  const createLayout = make(
    'cublasLtMatrixLayoutCreate',
    ', int type, uint64_t rows, uint64_t cols, int64_t ld',
  );
  const createPreference = make('cublasLtMatmulPreferenceCreate', '');
  const setDescriptor = setter('cublasLtMatmulDescSetAttribute');
  const setPreference = setter('cublasLtMatmulPreferenceSetAttribute');
  const heuristic = bind(
    'cublasLtMatmulAlgoGetHeuristic',
    'uint64_t handle, uint64_t descriptor, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t preference, int wanted, ' +
      'uint64_t results, uint64_t count',
  );
  const checkAlgorithm = bind(
    'cublasLtMatmulAlgoCheck',
    'uint64_t handle, uint64_t descriptor, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t algorithm, uint64_t result',
  );
  const multiply = bind(
    'cublasLtMatmul',
    'uint64_t handle, uint64_t descriptor, uint64_t alpha, uint64_t a, uint64_t aLayout, uint64_t b, uint64_t bLayout, uint64_t beta, ' +
      'uint64_t c, uint64_t cLayout, uint64_t d, uint64_t dLayout, uint64_t algorithm, uint64_t workspace, size_t workspaceBytes, ' +
      'uint64_t stream',
  );
  return {
    ...{ handle, createDescriptor, createLayout, createPreference },
    ...{ setDescriptor, setPreference, heuristic, checkAlgorithm, multiply },
  };
}

function check(call: string, status: number): void {
  if (status !== 0) throw new Error(`cuBLASLt: ${call} failed with status ${status}`);
}

export function nativeMemory(bytes: number): { at: number; view: DataView; block: unknown } {
  const block: unknown = alloc('uint8_t', bytes);
  return { at: Number(nativeAddress(block)), view: new DataView(view(block, bytes)), block };
}
