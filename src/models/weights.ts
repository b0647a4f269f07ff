/**
 * In what form a model's weights are kept: one array at a time out of its source, packed or converted on the way, so that loading needs the
 * model as it will be kept plus one array.
 */

import { Parameter } from '../autograd/parameter.js';
import type { Backend } from '../backends/contract.js';
import type { DenseMatrix, Matrix } from '../backends/span.js';
import { FLOAT_NAMES, fromFloat32, toFloat32, type FloatType } from '../files/index.js';
import type { EmbeddingWeights } from '../ops/embedding.js';
import type { LayerNorm } from '../ops/norm.js';
import { freeMatrix, matrixBytes, PACKED_FORMATS, type PackedKind } from '../quant/formats.js';
import type { PackedFormat, PackedMatrix, PackOptions } from '../quant/packed.js';
import type { Tensor } from '../tensor/tensor.js';
import { UserError } from '../util/errors.js';
import { Embedding } from './blocks/embedding.js';
import { Linear } from './blocks/linear.js';
import type { ArraySource } from './source.js';

/** In which form a model’s weights are held. */
export interface WeightOptions {
  /** Pack every Linear but those whose names end so; where `skipModules` is absent, but the output head. */
  readonly quantization?: QuantizationOptions | undefined;
  /** The type in which dense weights are kept; 'auto': as the checkpoint has them. */
  readonly dtype?: 'auto' | FloatType;
  /** Every weight is to be trained: all f32, none quantized. */
  readonly trainable?: boolean;
}

interface QuantizationOptions extends PackOptions {
  /** NF4 where absent. */
  readonly format?: PackedKind;
  /** transformers' `llm_int8_skip_modules`. */
  readonly skipModules?: readonly string[] | undefined;
}

const FROZEN =
  'full fine-tuning cannot train 4-bit weights: add a lora section, or take weights that are not quantized';

export class WeightLoader {
  readonly linears = new Map<string, Linear>();
  readonly parameters: Parameter[] = [];
  private readonly matrices: Matrix[] = [];
  bytes = 0;

  constructor(
    readonly backend: Backend,
    private readonly source: ArraySource,
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
    const { quantization, trainable } = this.options;
    const stored = this.source.stored(weightName);
    let weight: Matrix;
    let parameter: Parameter | undefined;
    if (stored) {
      if (trainable) throw new UserError(`${this.source.path}: ${FROZEN}`);
      weight = stored([outFeatures, inFeatures]);
      this.keep(weight);
    } else if (quantization && !(quantization.skipModules?.some((end) => name.endsWith(end)) ?? head)) {
      const format: PackedFormat<PackedMatrix> = PACKED_FORMATS[quantization.format ?? 'nf4'];
      weight = await this.source.packed(weightName, outFeatures, inFeatures, (values) =>
        format.pack(this.backend, values, quantization),
      );
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
    const type = FLOAT_NAMES[parameter.value.dtype as FloatType];
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
    if (!tied || this.source.differs(`${name}.weight`, `${embedding}.weight`))
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
    kept: 'auto' | FloatType,
    initial?: number,
  ): Parameter {
    const parameter = new Parameter(name, this.source.array(name, shape, kept, initial));
    this.parameters.push(parameter);
    this.bytes += parameter.value.buffer.bytes;
    return parameter;
  }

  private keep(matrix: Matrix): void {
    this.matrices.push(matrix);
    this.bytes += matrixBytes(matrix);
  }
}

function matrixOf(t: Tensor, rows: number, cols: number): DenseMatrix {
  return { kind: 'dense', rows, cols, data: t };
}
