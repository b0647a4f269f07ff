/** One forward and backward pass over the batches of one or several trainings. */

import { holdPairs, pairsOfCall, type CallAdapter } from '../adapters/call.js';
import type { CausalLM } from '../models/model.js';
import type { Neftune } from '../ops/embedding.js';
import { Pass, type AdapterPairs, type Member } from '../ops/pass.js';
import { Tensor } from '../tensor/tensor.js';
import { abortable, throwIfAborted } from '../util/abort.js';
import { inTurns } from '../util/turns.js';
import { checkBatch, joinBatches, modelInput, type FlatBatch } from './batch.js';
import { CROSS_ENTROPY, type Objective } from './objective.js';

/** What one training brings to a pass. */
export interface PassPart {
  readonly batch: FlatBatch;
  /** What is learnt of it; absent: CROSS_ENTROPY. */
  readonly objective?: Objective;
  /** What its loss counts: 1 / what the objective counts in the whole accumulated step. */
  readonly gradScale: number;
  readonly seed: number;
  /** The number of this pass in its whole run: it fixes dropout's and NEFTune's masks. */
  readonly pass: number;
  /** 0: none. */
  readonly neftune_noise_alpha: number;
  /** Its adapter's; absent: those of what is attached to the model. */
  readonly pairs?: Member['pairs'];
}

/** What a pass gave of a part, when it is there: numbers whose sums count. */
export interface PassFigures {
  readonly losses: Promise<Float32Array>;
  readonly scalars: Readonly<Record<string, Promise<Float32Array>>>;
}

/** What all parts of a pass share. */
export interface PassOptions {
  readonly bf16: boolean;
  readonly gradient_checkpointing: boolean;
  /** Once it is aborted, gradients and losses are anything. */
  readonly signal?: AbortSignal | undefined;
}

/** NEFTune's stream; the LoRA modules' are hashes of their names. */
const NEFTUNE_STREAM = 1;

/**
 * Adds gradScale · d(sum of its losses) to the gradients of what each part trains, which get the bits that they get from a pass of its own:
 * asks the backend for it and waits for nothing, but gives the event loop its turn on the way.
 */
export async function forwardBackward(
  model: CausalLM,
  parts: readonly PassPart[],
  { bf16, gradient_checkpointing, signal }: PassOptions,
): Promise<PassFigures[]> {
  const whole = joinBatches(parts.map(({ batch }) => batch));
  for (const { batch, pairs } of parts) checkBatch(model, batch, pairs ?? model.adapter);
  const members = parts.map(({ batch, seed, pass, pairs }) => ({
    ...{ rows: batch.ids.length, encoderRows: batch.encoder?.ids.length ?? 0, seed, step: pass },
    pairs: pairs ?? model.adapter,
  }));
  const precision = bf16 ? 'bf16' : 'f32';
  const prepared: (readonly Float32Array[])[] = [];
  for (const [i, { batch, objective }] of parts.entries())
    prepared.push(
      (await objective?.prepare?.(model, batch, { precision, pairs: members[i]!.pairs, signal })) ?? [],
    );
  const g = new Pass(model.backend, { training: true, precision, members });
  const ask = <T>(body: () => T): T => abortable(model.backend, signal, body);
  try {
    const input = ask(() => ({
      ...modelInput(g, whole),
      gradientCheckpointing: gradient_checkpointing,
      neftune: neftuneOf(g, model, parts),
    }));
    const hidden = await inTurns(model.pass(g, input), ask);
    const dHidden = Tensor.zeros(g.backend, hidden.shape, g.activations);
    let first = 0;
    const losses = parts.map(({ batch, objective = CROSS_ENTROPY, gradScale }, i) => {
      const rows = { member: members[i]!, first, batch, prepared: prepared[i]!, gradScale };
      first += batch.targets.length;
      return ask(() => objective.loss(g, { ...rows, hidden, head: model.head, dHidden }));
    });
    await inTurns(g.walkBack(hidden, dHidden), ask);
    return losses.map(({ losses, scalars = {} }) => ({
      losses: losses.toFloat32(),
      scalars: Object.fromEntries(Object.entries(scalars).map(([name, t]) => [name, t.toFloat32()])),
    }));
  } finally {
    g.close();
  }
}

/**
 * The rows' losses alone, as an evaluation wants them: no dropout, no noise, no gradient. `adapter`: null: none; absent: the one that is
 * attached.
 */
export async function evaluateLoss(
  model: CausalLM,
  batch: FlatBatch,
  precision: 'f32' | 'bf16' = 'f32',
  adapter?: CallAdapter,
): Promise<Float32Array> {
  const pairs = pairsOfCall(model, adapter);
  const { losses } = await evaluatePass(model, { batch, pairs }, { bf16: precision === 'bf16' });
  return losses;
}

/** A batch that is looked at without learning of it. */
interface EvaluatedPart extends Pick<PassPart, 'batch' | 'objective'> {
  readonly pairs: AdapterPairs;
}

/** What an objective says of it: numbers whose sums count. */
interface EvaluatedPass {
  readonly losses: Float32Array;
  readonly scalars: Readonly<Record<string, Float32Array>>;
}

/** A forward pass: no dropout, no noise, no gradient. Rejects with an AbortError once `signal` is aborted. */
export async function evaluatePass(
  model: CausalLM,
  { batch, pairs, objective = CROSS_ENTROPY }: EvaluatedPart,
  { bf16, signal }: Pick<PassOptions, 'bf16' | 'signal'>,
): Promise<EvaluatedPass> {
  const precision = bf16 ? 'bf16' : 'f32';
  checkBatch(model, batch, pairs);
  const letGo = holdPairs(pairs);
  const ask = <T>(body: () => T): T => abortable(model.backend, signal, body);
  const g = new Pass(model.backend, { precision, members: [{ seed: 0, step: 0, pairs }] });
  try {
    const prepared = (await objective.prepare?.(model, batch, { precision, pairs, signal })) ?? [];
    const hidden = await inTurns(
      model.pass(
        g,
        ask(() => modelInput(g, batch)),
      ),
      ask,
    );
    const rows = { member: g.members[0]!, first: 0, batch, prepared, gradScale: 0 };
    const { losses, scalars = {} } = ask(() => objective.loss(g, { ...rows, hidden, head: model.head }));
    const asked = [losses.toFloat32(), ...Object.values(scalars).map((t) => t.toFloat32())];
    const [first, ...others] = await Promise.all(asked);
    throwIfAborted(signal);
    const names = Object.keys(scalars);
    return { losses: first!, scalars: Object.fromEntries(names.map((name, i) => [name, others[i]!])) };
  } finally {
    g.close();
    letGo();
  }
}

function neftuneOf(g: Pass, model: CausalLM, parts: readonly PassPart[]): Neftune[] {
  let first = 0;
  return parts.flatMap(({ batch, neftune_noise_alpha: alpha }, i) => {
    const { lengths } = batch.encoder ?? batch;
    const start = first;
    first += lengths.length;
    if (alpha === 0) return [];
    const magnitude = g.from(
      Float32Array.from(lengths, (length) => alpha / Math.sqrt(length * model.config.hidden_size)),
    );
    const { seed, step } = g.members[i]!;
    return [{ first: start, magnitude, random: { seed, stream: NEFTUNE_STREAM, step } }];
  });
}
