/**
 * Matrix products by cuBLASLt, which knows the tensor cores of every card. Descriptors and the algorithm are chosen once for a shape, by
 * the library's own heuristic, so that the same program computes the same bits; schemes that add partial results in no fixed order are
 * not asked for. Values follow cublasLt.h of CUDA 12 and 13.
 */

import { address as nativeAddress, alloc, load, view } from 'koffi';
import { BYTES_PER_ELEMENT } from '../span.js';

/** d = alpha · op(a) · op(b) + beta · c, row-major; addresses on the device. */
interface MatmulArgs {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** So many times m rows of op(a), c and d, one behind the other, each m of which get the bits of a product of their own; excludes `transA`. */
  readonly parts?: number;
  /** [m, k], or [k, m] when `transA`. */
  readonly a: number;
  readonly transA: boolean;
  /** [k, n], or [n, k] when `transB`. */
  readonly b: number;
  readonly transB: boolean;
  /** Of a and b. */
  readonly type: 'f32' | 'bf16';
  /** [m, n]; may be d. */
  readonly c: number;
  readonly d: number;
  /** Of c and d. */
  readonly outputType: 'f32' | 'bf16';
  readonly alpha: number;
  readonly beta: number;
}

export interface Blas {
  matmul(args: MatmulArgs): void;
}

const TYPE = { f32: 0, bf16: 14 } as const;
const COMPUTE_32F = 68;
const DESCRIPTOR = { transA: 3, transB: 4 } as const;
const PREFERENCE = {
  workspaceBytes: 1,
  reductionSchemes: 3,
  alignA: 5,
  alignB: 6,
  alignC: 7,
  alignD: 8,
} as const;
/** COMPUTE_TYPE and OUTPUT_TYPE: partial results are stored and added in order, not in place as they come. */
const ORDERED_REDUCTIONS = 2 | 4;
/** cublasLtMatmulHeuristicResult_t: the algorithm, 64 bytes of it; workspace size, status, waves, reserved. */
const RESULT_BYTES = 96;
const WORKSPACE_AT = 64;

export const WORKSPACE_BYTES = 64 << 20;

interface Product {
  readonly descriptor: number;
  readonly layouts: readonly [a: number, b: number, c: number];
  /** Native memory. */
  readonly algorithm: number;
  readonly keep: unknown;
}

type Native = (...args: (number | bigint)[]) => number;

/** `timed` brackets the call where somebody measures; `workspace`: WORKSPACE_BYTES of the device's memory. */
export function createBlas(
  path: string,
  stream: number,
  workspace: number,
  timed: (name: string, enqueue: () => void) => void,
): Blas {
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
  const handle = make('cublasLtCreate', '')();
  const createDescriptor = make('cublasLtMatmulDescCreate', ', int compute, int scale');
  const createLayout = make(
    'cublasLtMatrixLayoutCreate',
    ', int type, uint64_t rows, uint64_t cols, int64_t ld',
  );
  const createPreference = make('cublasLtMatmulPreferenceCreate', '');
  const setDescriptor = bind(
    'cublasLtMatmulDescSetAttribute',
    'uint64_t on, int what, uint64_t value, size_t bytes',
  );
  const setPreference = bind(
    'cublasLtMatmulPreferenceSetAttribute',
    'uint64_t on, int what, uint64_t value, size_t bytes',
  );
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
  const factors = nativeMemory(16);
  const value = nativeMemory(16);
  const set = (setter: Native, on: number, what: number, number: number, bytes: 4 | 8): void => {
    value.view.setUint32(0, number, true);
    value.view.setUint32(4, 0, true);
    check('setting an attribute', setter(on, what, value.at, bytes));
  };
  const products = new Map<string, Product>();
  const alike = new Map<string, Product | null>();

  function shapeOf(args: MatmulArgs): Omit<Product, 'algorithm' | 'keep'> {
    const { m, n, k, transA, transB, type, outputType } = args;
    const descriptor = createDescriptor(COMPUTE_32F, TYPE.f32);
    // The library counts by columns: there the product is op(b)ᵀ times op(a)ᵀ.
    set(setDescriptor, descriptor, DESCRIPTOR.transA, Number(transB), 4);
    set(setDescriptor, descriptor, DESCRIPTOR.transB, Number(transA), 4);
    const first = transB ? createLayout(TYPE[type], k, n, k) : createLayout(TYPE[type], n, k, n);
    const second = transA ? createLayout(TYPE[type], m, k, m) : createLayout(TYPE[type], k, m, k);
    const result = createLayout(TYPE[outputType], n, m, n);
    return { descriptor, layouts: [first, second, result] };
  }

  function plan(args: MatmulArgs, alignments: readonly number[]): Product {
    const shape = shapeOf(args);
    const preference = createPreference();
    set(setPreference, preference, PREFERENCE.workspaceBytes, WORKSPACE_BYTES, 8);
    set(setPreference, preference, PREFERENCE.reductionSchemes, ORDERED_REDUCTIONS, 4);
    const [a, b, c] = alignments as [number, number, number];
    set(setPreference, preference, PREFERENCE.alignA, b, 4);
    set(setPreference, preference, PREFERENCE.alignB, a, 4);
    set(setPreference, preference, PREFERENCE.alignC, c, 4);
    set(setPreference, preference, PREFERENCE.alignD, c, 4);
    const found = nativeMemory(RESULT_BYTES);
    const count = nativeMemory(8);
    count.view.setInt32(0, 0, true);
    const { descriptor, layouts } = shape;
    const [first, second, result] = layouts;
    // prettier-ignore
    const status = heuristic(handle, descriptor, first, second, result, result, preference, 1, found.at, count.at);
    if (status !== 0 || count.view.getInt32(0, true) === 0)
      throw new Error(`cuBLASLt knows no algorithm for ${nameOf(args)}: status ${status}`);
    return { ...shape, algorithm: found.at, keep: found };
  }

  function productOf(args: MatmulArgs): Product {
    const { m, n, k, a, b, c, d, transA, transB, type, outputType } = args;
    const alignments = [alignment(a), alignment(b), Math.min(alignment(c), alignment(d))];
    const key = `${m},${n},${k},${transA},${transB},${type},${outputType},${alignments.join(',')}`;
    let product = products.get(key);
    if (!product) products.set(key, (product = plan(args, alignments)));
    return product;
  }

  /** All parts as one product by the algorithm of one of them, where it takes that. */
  function together(args: MatmulArgs, one: Product, parts: number): Product | undefined {
    const key = `${one.algorithm},${parts}`;
    let product = alike.get(key);
    if (product === undefined) {
      const shape = shapeOf({ ...args, m: args.m * parts });
      const [first, second, result] = shape.layouts;
      const answer = nativeMemory(RESULT_BYTES);
      // prettier-ignore
      const status = checkAlgorithm(handle, shape.descriptor, first, second, result, result, one.algorithm, answer.at);
      const fits = status === 0 && answer.view.getBigUint64(WORKSPACE_AT, true) <= WORKSPACE_BYTES;
      product = fits ? { ...shape, algorithm: one.algorithm, keep: one.keep } : null;
      alike.set(key, product);
    }
    return product ?? undefined;
  }

  function run(args: MatmulArgs, { descriptor, layouts, algorithm }: Product): void {
    const { a, b, c, d } = args;
    const [first, second, result] = layouts;
    factors.view.setFloat32(0, args.alpha, true);
    factors.view.setFloat32(4, args.beta, true);
    timed(`cublasLt ${args.m} x ${args.n} x ${args.k}`, () => {
      const scale = [factors.at, factors.at + 4] as const;
      // prettier-ignore
      const status = multiply(handle, descriptor, scale[0], b, first, a, second, scale[1], c, result, d, result, algorithm,
        workspace, WORKSPACE_BYTES, stream);
      if (status !== 0) throw new Error(`cublasLtMatmul failed for ${nameOf(args)}: status ${status}`);
    });
  }

  return {
    matmul(args) {
      const { m, n, k, type, outputType, parts = 1 } = args;
      const one = productOf(args);
      if (parts === 1) {
        run(args, one);
        return;
      }
      const all = together(args, one, parts);
      if (all) {
        run({ ...args, m: m * parts }, all);
        return;
      }
      const [ofA, ofC] = [m * k * BYTES_PER_ELEMENT[type], m * n * BYTES_PER_ELEMENT[outputType]];
      for (let i = 0; i < parts; i++)
        run({ ...args, a: args.a + i * ofA, c: args.c + i * ofC, d: args.d + i * ofC }, one);
    },
  };
}

function nameOf({ m, n, k, type, transA, transB }: MatmulArgs): string {
  return `a ${type} product ${m} x ${n} x ${k} (transA ${transA}, transB ${transB})`;
}

function check(call: string, status: number): void {
  if (status !== 0) throw new Error(`cuBLASLt: ${call} failed with status ${status}`);
}

/** The largest power of two, to 16, that divides an address: more is no other algorithm, and not every part of a product would have it. */
function alignment(address: number): number {
  const low = address % 16;
  return low === 0 ? 16 : low & -low;
}

function nativeMemory(bytes: number): { at: number; view: DataView; block: unknown } {
  const block: unknown = alloc('uint8_t', bytes);
  return { at: Number(nativeAddress(block)), view: new DataView(view(block, bytes)), block };
}
