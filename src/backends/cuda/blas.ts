/**
 * Matrix products by cuBLASLt, which knows the tensor cores of every card. Descriptors and the algorithm are chosen once for a shape, by
 * the library's own heuristic, so that the same program computes the same bits; schemes that add partial results in no fixed order are
 * not asked for.
 */

import { BYTES_PER_ELEMENT } from '../span.js';
import {
  COMPUTE_32F,
  DESCRIPTOR,
  nativeMemory,
  openCublasLt,
  ORDERED_REDUCTIONS,
  PREFERENCE,
  RESULT_BYTES,
  TYPE,
  WORKSPACE_AT,
  type CublasLt,
} from './cublaslt.js';

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

/** So many rows and columns has the product by which the library is woken. */
const WAKING = 64;

/**
 * The library's first choice of an algorithm takes a tenth of a second, in which it reads its own tables. Done where the device is opened, it
 * holds up no training. `at`: memory that nobody reads.
 */
export function wakeBlas(blas: Blas, types: readonly MatmulArgs['type'][], at: number): void {
  for (const type of types)
    blas.matmul({
      ...{ m: WAKING, n: WAKING, k: WAKING, a: at, b: at, c: at, d: at, transA: false, transB: true },
      ...{ type, outputType: type, alpha: 0, beta: 0 },
    });
}

export const WORKSPACE_BYTES = 64 << 20;

/** A product as the library wants it told, and what it is computed by. */
interface Product {
  readonly descriptor: number;
  readonly layouts: readonly [a: number, b: number, c: number];
  /** Native memory. */
  readonly algorithm: number;
  readonly keep: unknown;
}

/** `timed` brackets the call where somebody measures; `workspace`: WORKSPACE_BYTES of the device's memory. */
export function createBlas(
  path: string,
  stream: number,
  workspace: number,
  timed: (name: string, enqueue: () => void) => void,
): Blas {
  const library = openCublasLt(path);
  const { productOf, together } = createPlans(library);
  const factors = nativeMemory(16);

  function run(args: MatmulArgs, { descriptor, layouts, algorithm }: Product): void {
    const { a, b, c, d } = args;
    const [first, second, result] = layouts;
    factors.view.setFloat32(0, args.alpha, true);
    factors.view.setFloat32(4, args.beta, true);
    timed(`cublasLt ${args.m} x ${args.n} x ${args.k}`, () => {
      const scale = [factors.at, factors.at + 4] as const;
      // prettier-ignore
      const status = library.multiply(library.handle, descriptor, scale[0], b, first, a, second, scale[1], c, result, d, result, algorithm,
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

/** Products by shape, types and alignment, each planned when it is first asked for. */
function createPlans(library: CublasLt): {
  productOf: (args: MatmulArgs) => Product;
  /** All parts as one product by the algorithm of one of them, where it takes that. */
  together: (args: MatmulArgs, one: Product, parts: number) => Product | undefined;
} {
  const products = new Map<string, Product>();
  const alike = new Map<string, Product | null>();

  function productOf(args: MatmulArgs): Product {
    const { m, n, k, a, b, c, d, transA, transB, type, outputType } = args;
    const alignments = [alignment(a), alignment(b), Math.min(alignment(c), alignment(d))];
    const key = `${m},${n},${k},${transA},${transB},${type},${outputType},${alignments.join(',')}`;
    let product = products.get(key);
    if (!product) products.set(key, (product = plan(library, args, alignments)));
    return product;
  }

  function together(args: MatmulArgs, one: Product, parts: number): Product | undefined {
    const key = `${one.algorithm},${parts}`;
    let product = alike.get(key);
    if (product === undefined) {
      const shape = shapeOf(library, { ...args, m: args.m * parts });
      const [first, second, result] = shape.layouts;
      const answer = nativeMemory(RESULT_BYTES);
      // prettier-ignore
      const status = library.checkAlgorithm(library.handle, shape.descriptor, first, second, result, result, one.algorithm, answer.at);
      const fits = status === 0 && answer.view.getBigUint64(WORKSPACE_AT, true) <= WORKSPACE_BYTES;
      product = fits ? { ...shape, algorithm: one.algorithm, keep: one.keep } : null;
      alike.set(key, product);
    }
    return product ?? undefined;
  }

  return { productOf, together };
}

/** Descriptor and layouts, without an algorithm. */
function shapeOf(library: CublasLt, args: MatmulArgs): Omit<Product, 'algorithm' | 'keep'> {
  const { m, n, k, transA, transB, type, outputType } = args;
  const descriptor = library.createDescriptor(COMPUTE_32F, TYPE.f32);
  // The library counts by columns: there the product is op(b)ᵀ times op(a)ᵀ.
  library.setDescriptor(descriptor, DESCRIPTOR.transA, Number(transB), 4);
  library.setDescriptor(descriptor, DESCRIPTOR.transB, Number(transA), 4);
  const first = transB
    ? library.createLayout(TYPE[type], k, n, k)
    : library.createLayout(TYPE[type], n, k, n);
  const second = transA
    ? library.createLayout(TYPE[type], m, k, m)
    : library.createLayout(TYPE[type], k, m, k);
  const result = library.createLayout(TYPE[outputType], n, m, n);
  return { descriptor, layouts: [first, second, result] };
}

/** A product with the algorithm that the library finds best. */
function plan(library: CublasLt, args: MatmulArgs, alignments: readonly number[]): Product {
  const shape = shapeOf(library, args);
  const preference = library.createPreference();
  library.setPreference(preference, PREFERENCE.workspaceBytes, WORKSPACE_BYTES, 8);
  library.setPreference(preference, PREFERENCE.reductionSchemes, ORDERED_REDUCTIONS, 4);
  const [a, b, c] = alignments as [number, number, number];
  library.setPreference(preference, PREFERENCE.alignA, b, 4);
  library.setPreference(preference, PREFERENCE.alignB, a, 4);
  library.setPreference(preference, PREFERENCE.alignC, c, 4);
  library.setPreference(preference, PREFERENCE.alignD, c, 4);
  const found = nativeMemory(RESULT_BYTES);
  const count = nativeMemory(8);
  count.view.setInt32(0, 0, true);
  const { descriptor, layouts } = shape;
  const [first, second, result] = layouts;
  // prettier-ignore
  const status = library.heuristic(library.handle, descriptor, first, second, result, result, preference, 1, found.at, count.at);
  if (status !== 0 || count.view.getInt32(0, true) === 0)
    throw new Error(`cuBLASLt knows no algorithm for ${nameOf(args)}: status ${status}`);
  return { ...shape, algorithm: found.at, keep: found };
}

function nameOf({ m, n, k, type, transA, transB }: MatmulArgs): string {
  return `a ${type} product ${m} x ${n} x ${k} (transA ${transA}, transB ${transB})`;
}

/** The largest power of two, to 16, that divides an address: more is no other algorithm, and not every part of a product would have it. */
function alignment(address: number): number {
  const low = address % 16;
  return low === 0 ? 16 : low & -low;
}
