/**
 * Where a model's arrays come from, and in what form they are kept: one tensor at a time out of a checkpoint, quantized to NF4 or
 * converted on the way, so that loading needs the model as it will be kept plus one tensor.
 */

import { Parameter } from '../autograd/parameter.js';
import type { Backend, DenseMatrix, DType, Matrix } from '../backends/contract.js';
import { checkFinite, checkFits, fromFloat32, toFloat32 } from '../files/index.js';
import type { EmbeddingWeights } from '../ops/embedding.js';
import type { LayerNorm } from '../ops/norm.js';
import {
  freeMatrix,
  isBnbWeight,
  matrixBytes,
  quantizeMatrix,
  readBnbMatrix,
  type BnbSource,
} from '../quant/index.js';
import { Tensor } from '../tensor/tensor.js';
import { UserError } from '../util/errors.js';
import { Embedding } from './blocks/embedding.js';
import { Linear } from './blocks/linear.js';
import { RandomWeights } from './random.js';

/** A checkpoint: arrays by name, with safetensors' names of types. */
export interface WeightSource extends BnbSource {
  /** `room` gives memory of so many bytes to read into. */
  read(
    name: string,
    room?: (bytes: number) => Uint8Array,
  ): { dtype: string; shape: readonly number[]; data: Uint8Array };
  /** Whether two arrays have the same type, shape and bytes. */
  same(a: string, b: string): boolean;
  close(): void;
}

/** In which form a model’s weights are held. */
export interface WeightOptions {
  /** Quantize every Linear to NF4 but those whose names end so; where `skipModules` is absent, but the output head. */
  readonly quantization?: QuantizationOptions | undefined;
  /** The type in which dense weights are kept; 'auto': as the checkpoint has them. */
  readonly dtype?: 'auto' | 'f32' | 'bf16' | 'f16';
  /** Every weight is to be trained: all f32, none quantized. */
  readonly trainable?: boolean;
}

export interface QuantizationOptions {
  readonly doubleQuant: boolean;
  /** transformers' `llm_int8_skip_modules`. */
  readonly skipModules?: readonly string[] | undefined;
}

const FLOAT_TYPES: Readonly<Record<string, 'f32' | 'bf16' | 'f16'>> = {
  F32: 'f32',
  BF16: 'bf16',
  F16: 'f16',
};

const TYPE_NAMES = { f32: 'F32', bf16: 'BF16', f16: 'F16' } as const;

const FROZEN =
  'full fine-tuning cannot train 4-bit weights: add a lora section, or take weights that are not quantized';

export class WeightLoader {
  readonly linears = new Map<string, Linear>();
  readonly parameters: Parameter[] = [];
  private readonly matrices: Matrix[] = [];
  bytes = 0;

  constructor(
    readonly backend: Backend,
    private readonly source: WeightSource | RandomWeights,
    readonly sourceConfig: Readonly<Record<string, unknown>>,
    private readonly options: WeightOptions,
  ) {
    if (options.trainable && options.quantization) throw new UserError(FROZEN);
  }

  async linear(
    name: string,
    inFeatures: number,
    outFeatures: number,
    { bias, head = false }: { bias: boolean; head?: boolean },
  ): Promise<Linear> {
    const weightName = `${name}.weight`;
    const { quantization } = this.options;
    let weight: Matrix;
    let parameter: Parameter | undefined;
    if (!(this.source instanceof RandomWeights) && isBnbWeight(this.source, weightName)) {
      if (this.options.trainable) throw new UserError(`${this.source.path}: ${FROZEN}`);
      weight = readBnbMatrix(this.backend, this.source, weightName, [outFeatures, inFeatures]);
      this.keep(weight);
    } else if (quantization && !(quantization.skipModules?.some((end) => name.endsWith(end)) ?? head)) {
      weight = await this.quantized(weightName, outFeatures, inFeatures, quantization);
      this.keep(weight);
    } else {
      parameter = this.dense(weightName, [outFeatures, inFeatures]);
      weight = matrixOf(parameter.value, outFeatures, inFeatures);
    }
    const linear = new Linear(
      name,
      weight,
      parameter,
      bias ? this.vector(`${name}.bias`, outFeatures, 0) : undefined,
    );
    this.linears.set(name, linear);
    return linear;
  }

  /** `scale` is rounded to the table's type, as transformers does it. */
  embedding(name: string, vocab: number, dim: number, scale = 1): Embedding {
    const parameter = this.dense(`${name}.weight`, [vocab, dim]);
    const type = TYPE_NAMES[parameter.value.dtype as keyof typeof TYPE_NAMES];
    const rounded = toFloat32(type, fromFloat32(type, Float32Array.of(scale)))[0]!;
    return new Embedding(name, matrixOf(parameter.value, vocab, dim), parameter, rounded);
  }

  /** A small array [rows, cols] that is always kept in f32. */
  table(name: string, rows: number, cols: number): Omit<EmbeddingWeights, 'scale'> {
    const parameter = this.parameter(`${name}.weight`, [rows, cols], 'f32');
    return { table: matrixOf(parameter.value, rows, cols), parameter };
  }

  /**
   * The output head: the embedding's table where they are tied, but one of its own where the checkpoint has other values under its name,
   * as transformers 5 takes it.
   */
  async head(name: string, { name: embedding, table, parameter }: Embedding, tied: boolean): Promise<Linear> {
    const source = this.source instanceof RandomWeights ? this.source.like : this.source;
    const [ownName, tiedName] = [`${name}.weight`, `${embedding}.weight`];
    if (!tied || (source?.has(ownName) && !source.same(ownName, tiedName)))
      return this.linear(name, table.cols, table.rows, { bias: false, head: true });
    const linear = new Linear(name, table, parameter, undefined);
    this.linears.set(name, linear);
    return linear;
  }

  /** `initial`: what random weights have. */
  norm(name: string, dim: number, initial: number): Parameter {
    return this.vector(`${name}.weight`, dim, initial);
  }

  /** As torch's LayerNorm has them: a weight, at first 1, and a bias, at first 0. */
  layerNorm(name: string, dim: number, eps: number): LayerNorm {
    return { weight: this.norm(name, dim, 1), bias: this.vector(`${name}.bias`, dim, 0), eps };
  }

  dispose(): void {
    for (const p of this.parameters) p.value.release();
    for (const m of this.matrices) freeMatrix(this.backend, m);
  }

  private vector(name: string, length: number, initial: number): Parameter {
    return this.parameter(name, [length], 'f32', initial);
  }

  private dense(name: string, shape: readonly number[]): Parameter {
    const { dtype = 'auto', trainable } = this.options;
    return this.parameter(name, shape, trainable ? 'f32' : dtype);
  }

  private parameter(
    name: string,
    shape: readonly number[],
    kept: 'auto' | 'f32' | 'bf16' | 'f16',
    initial?: number,
  ): Parameter {
    if (this.source instanceof RandomWeights) {
      const value = Tensor.empty(this.backend, shape, kept === 'auto' ? 'f32' : kept);
      this.source.fill(value, initial);
      return this.register(name, value);
    }
    const { dtype, data } = this.read(this.source, name, shape);
    checkFinite(this.source.path, name, TYPE_NAMES[dtype], shape, data);
    const wanted = kept === 'auto' ? dtype : kept;
    checkFits(this.source.path, name, TYPE_NAMES[dtype], TYPE_NAMES[wanted], shape, data);
    const raw = uploadAs(this.backend, data, shape, dtype);
    let value = raw;
    if (wanted !== dtype) {
      value = Tensor.empty(this.backend, shape, wanted);
      this.backend.kernels.convert({ x: raw, y: value, n: raw.length });
      raw.release();
    }
    return this.register(name, value);
  }

  private register(name: string, value: Tensor): Parameter {
    const parameter = new Parameter(name, value);
    this.parameters.push(parameter);
    this.bytes += value.buffer.bytes;
    return parameter;
  }

  private async quantized(
    name: string,
    rows: number,
    cols: number,
    options: QuantizationOptions,
  ): Promise<Matrix> {
    const { backend, source } = this;
    if (!(source instanceof RandomWeights)) {
      const host = { ...this.read(source, name, [rows, cols]), rows, cols, name };
      try {
        return await quantizeMatrix(backend, host, options);
      } catch (error) {
        // What quantizing came upon is looked for in the file.
        checkFinite(source.path, name, TYPE_NAMES[host.dtype], [rows, cols], host.data);
        throw error;
      }
    }
    const values = Tensor.empty(backend, [rows, cols], 'bf16');
    try {
      source.fill(values);
      return await quantizeMatrix(backend, { values, rows, cols, name }, options);
    } finally {
      values.release();
    }
  }

  private keep(matrix: Matrix): void {
    this.matrices.push(matrix);
    this.bytes += matrixBytes(matrix);
  }

  private read(
    source: WeightSource,
    name: string,
    shape: readonly number[],
  ): { dtype: 'f32' | 'bf16' | 'f16'; data: Uint8Array } {
    if (!source.has(name)) {
      throw new UserError(`${source.path}: tensor '${name}' is missing, which its config.json asks for`);
    }
    const { dtype, shape: found, data } = source.read(name, (bytes) => this.backend.staging(bytes));
    if (found.length !== shape.length || found.some((n, i) => n !== shape[i])) {
      throw new UserError(
        `${source.path}: tensor '${name}' has shape [${found.join(', ')}], but config.json asks for [${shape.join(', ')}]`,
      );
    }
    const float = FLOAT_TYPES[dtype];
    if (!float) {
      throw new UserError(
        `${source.path}: tensor '${name}' has type ${dtype}; Westwind reads F32, BF16 and F16 weights`,
      );
    }
    return { dtype: float, data };
  }
}

function matrixOf(t: Tensor, rows: number, cols: number): DenseMatrix {
  return { kind: 'dense', rows, cols, data: t };
}

function uploadAs(backend: Backend, data: Uint8Array, shape: readonly number[], dtype: DType): Tensor {
  const t = Tensor.empty(backend, shape, dtype);
  backend.upload(data, t);
  return t;
}
