/** What a push sends: which files, under which card. */

import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ADAPTER_CONFIG } from '../adapters/peft-config.js';
import { cardText, type CardFacts, type CardRun } from '../experiments/publish/card.js';
import { TASK_FILES } from '../experiments/store/layout.js';
import { readRun } from '../experiments/store/stored.js';
import { exportGguf } from '../export/gguf/index.js';
import {
  CARD_FILE,
  checkSecrets,
  filesToPush,
  GgufFile,
  ggufToPush,
  readCard,
  sha256Of,
  sizeOf,
  type FileToPush,
} from '../files/index.js';
import { resolveModel } from '../import/resolve.js';
import { readModelJson } from '../models/config.js';
import { UserError } from '../util/errors.js';
import { readText } from '../util/read.js';
import { openBackend, type DeviceFlags } from './device.js';
import { fileType, sourceOf, type Source } from './export.js';

export interface PushFlags extends DeviceFlags {
  readonly to?: string;
  readonly type?: string;
  readonly task?: string;
  readonly model?: string;
  readonly revision?: string;
  readonly private?: boolean;
  readonly dryRun?: boolean;
}

export interface Prepared {
  /** The card among them. */
  readonly files: readonly FileToPush[];
  readonly card: string;
  /** Files beside them that are not pushed. */
  readonly rest: readonly string[];
  readonly notes: readonly string[];
  /** Removes what was made for it. */
  leave(): void;
}

interface Parts extends Pick<CardFacts, 'kind' | 'base' | 'hasEncoder' | 'run'> {
  readonly files: readonly FileToPush[];
  readonly rest: readonly string[];
  readonly notes: readonly string[];
}

/** What PEFT writes into a card that nobody has filled in. */
const UNFILLED = '[More Information Needed]';

/** Throws UserError for what is not pushed, and for a file that has a secret in it. */
export async function preparePush(
  what: string,
  name: string,
  flags: PushFlags,
  signal: AbortSignal,
): Promise<Prepared> {
  if (flags.to !== undefined && flags.to !== 'gguf') throw new UserError(`--to ${flags.to}: gguf is known`);
  const folder = mkdtempSync(join(tmpdir(), 'westwind-push-'));
  const leave = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const isFile = statSync(what, { throwIfNoEntry: false })?.isFile() ?? false;
    const parts = isFile ? fileParts(what, flags) : await sourceParts(what, name, flags, { folder, signal });
    const { files, rest, notes } = parts;
    const weights: CardFacts['files'][number][] = [];
    for (const { path, content } of files.filter((file) => /\.(safetensors|gguf)$/.test(file.path)))
      weights.push({ path, bytes: sizeOf(content), sha256: await sha256Of(content, signal) });
    const own = ownCard(files, parts.run);
    const card = own ?? cardText({ ...parts, name, files: weights });
    const all = [
      { path: CARD_FILE, content: Buffer.from(card) },
      ...files.filter(({ path }) => path !== CARD_FILE),
    ];
    checkSecrets(all);
    return { files: all, card, rest, notes, leave };
  } catch (error) {
    leave();
    throw error;
  }
}

/** A card that somebody wrote. */
function ownCard(files: readonly FileToPush[], run: CardRun | undefined): string | undefined {
  const file = files.find(({ path }) => path === CARD_FILE);
  if (run || typeof file?.content !== 'string') return undefined;
  const text = readText(file.content);
  return text.includes(UNFILLED) ? undefined : text;
}

function fileParts(path: string, { to, task }: PushFlags): Parts {
  if (task !== undefined) throw new UserError(`--task goes with a run's folder, and ${path} is none`);
  if (to !== undefined) throw new UserError(`--to goes with a model, and ${path} is a file`);
  const file = ggufToPush(path);
  const gguf = GgufFile.open(path);
  gguf.close();
  const told = (key: string): unknown => gguf.metadata.get(`general.${key}`)?.value;
  return {
    ...{ kind: 'gguf', files: [file], rest: [], notes: [], hasEncoder: false },
    base: { card: { license: told('license'), language: told('languages') } },
  };
}

async function sourceParts(
  what: string,
  name: string,
  flags: PushFlags,
  { folder, signal }: { readonly folder: string; readonly signal: AbortSignal },
): Promise<Parts> {
  // What is said of a revision is said of where it goes.
  const { task, model } = flags;
  const asked = { ...(task !== undefined && { task }), ...(model !== undefined && { model }) };
  const source = await sourceOf(what, asked, signal);
  const run = runOf(source);
  const { base, card, notes: known } = await baseOf(source, run, flags, signal);
  const common = { base: { name: base, card }, run, notes: known };
  const whole = { revision: source.revision, signal };
  if (flags.to === 'gguf') {
    const type = fileType(flags);
    const file = `${name.split('/')[1]!}-${type}.gguf`;
    const of = { name: source.base, folder: await resolveModel(source.base, whole) };
    const { notes } = await exportGguf(await openBackend(flags), {
      ...{ base: of, adapter: source.adapter, type, out: join(folder, file), signal },
    });
    return {
      ...{ ...common, kind: 'gguf', hasEncoder: false, rest: [], notes: [...common.notes, ...notes] },
      files: [{ path: file, content: join(folder, file) }],
    };
  }
  const from = source.adapter ?? (await resolveModel(source.base, whole));
  const { files, rest } = filesToPush(from);
  if (source.adapter !== undefined) {
    const config = readModelJson(join(from, ADAPTER_CONFIG));
    const hasEncoder = config['task_type'] === 'SEQ_2_SEQ_LM';
    return { ...common, kind: 'adapter', files: named(files, config, base), rest, hasEncoder };
  }
  if (!existsSync(join(from, 'config.json')))
    throw new UserError(
      `${what} holds no model and no adapter: it has neither config.json nor ${ADAPTER_CONFIG}`,
    );
  const { is_encoder_decoder: hasEncoder } = readModelJson(join(from, 'config.json'));
  return { ...common, kind: 'model', files, rest, hasEncoder: hasEncoder === true };
}

/** An adapter's files, in which its base has the name that the hub has for it. */
function named(
  files: readonly FileToPush[],
  config: Readonly<Record<string, unknown>>,
  base: string | undefined,
): FileToPush[] {
  return files.map((file) =>
    file.path === ADAPTER_CONFIG && base !== undefined && config['base_model_name_or_path'] !== base
      ? {
          ...file,
          content: Buffer.from(JSON.stringify({ ...config, base_model_name_or_path: base }, null, 2) + '\n'),
        }
      : file,
  );
}

function runOf({ run }: Source): CardRun | undefined {
  if (!run) return undefined;
  const { manifest } = readRun(run.folder);
  const task = manifest.config.tasks.find(({ name }) => name === run.task)!;
  return { manifest, task, result: TASK_FILES.result.find(join(run.folder, run.task)) };
}

/** The base's name on the hub, where it has one, and its card; `notes`: what a person should know of it. */
async function baseOf(
  { base: given, revision, adapter }: Source,
  run: CardRun | undefined,
  { model, dryRun }: PushFlags,
  signal: AbortSignal,
): Promise<{
  readonly base: string | undefined;
  readonly card: Record<string, unknown>;
  readonly notes: readonly string[];
}> {
  // A model that was trained whole is in the run's folder, and its base is the run's.
  const wanted = model ?? run?.manifest.config.model_name_or_path ?? given;
  const isHere = existsSync(wanted);
  let card: Record<string, unknown> = {};
  try {
    const offline = dryRun ? { offline: true } : {};
    card = readCard(await resolveModel(wanted, { revision, files: [CARD_FILE], signal, ...offline }));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  const notes: string[] = [];
  if (isHere && (run ?? adapter) !== undefined)
    notes.push(`the base is a folder of this machine, ${wanted}: --model OWNER/NAME names it for others`);
  if (card['license'] == null)
    notes.push(`no card of ${wanted} tells its licence, so that this one names none`);
  return { base: isHere ? undefined : wanted, card, notes };
}
