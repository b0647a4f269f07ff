/** A model for Ollama: a folder with GGUF and Modelfile, of which `ollama create NAME -f DIR/Modelfile` makes a model. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../../backends/contract.js';
import { stopTokens } from '../../generate/stop-tokens.js';
import { tokenizerOf } from '../../generate/tokenizer-of.js';
import { decoderStart, readModelJson } from '../../models/config.js';
import { familyOf } from '../../models/families/index.js';
import type { Tokenizer } from '../../tokenizer/index.js';
import { writeFileAtomic } from '../../util/atomic.js';
import { UserError } from '../../util/errors.js';
import { writeFault } from '../../util/faults.js';
import { checkFree, exportAdapterGguf, exportGguf, type Exported, type GgufExport } from '../gguf/index.js';
import { goTemplate, turnForm, type TurnForm } from './chat-template.js';
import { modelfileText } from './modelfile.js';

export interface OllamaExport extends GgufExport {
  /** Whether the adapter is a file of its own over the base's, in the place of one merged model. */
  readonly apart?: boolean | undefined;
  /** Whether answers are the likeliest tokens, as in the run that trained it. */
  readonly greedy?: boolean | undefined;
  /** Whether it was tuned on prompts as they stand, whatever chat template its base has. */
  readonly plain?: boolean | undefined;
}

/** Tokens that Ollama keeps room for unless it is told otherwise; of long contexts the room would be the machine's memory. */
const MOST_CONTEXT = 8192;

/** What a prompt is where no chat template lays it out. */
const PLAIN = '{{ .Prompt }}';

/** Writes into the folder `out`, the Modelfile last. Throws UserError as `exportGguf` and `exportAdapterGguf` do. */
export async function exportOllama(backend: Backend, options: OllamaExport): Promise<Exported> {
  const { base, adapter, out, force, apart } = options;
  const path = join(out, 'Modelfile');
  if (apart && adapter === undefined)
    throw new UserError('there is no adapter that could be a file of its own: --to ollama writes the model');
  const configPath = join(base.folder, 'config.json');
  const config = readModelJson(configPath);
  if (decoderStart(config) !== undefined)
    throw new UserError(
      `${configPath}: Ollama runs no model with an encoder; llama.cpp takes it, by --to gguf`,
    );
  checkFree(path, force);
  try {
    mkdirSync(out, { recursive: true });
  } catch (error) {
    throw writeFault(out, error);
  }
  const merged = { ...options, out: join(out, 'model.gguf') };
  const exported = await exportGguf(backend, apart ? { ...merged, adapter: undefined } : merged);
  const notes = [...exported.notes];
  if (apart) {
    const file = join(out, 'adapter.gguf');
    notes.push(...(await exportAdapterGguf({ ...options, type: 'F16', out: file })).notes);
  }
  const tokenizer = tokenizerOf(base.folder, adapter);
  const { template, stops, note } = chatOf(tokenizer, options.plain === true);
  if (note !== undefined) notes.push(note);
  const ends = stopTokens(base.folder, tokenizer.eosId).map((id) => tokenizer.idToToken(id));
  const stop = [...new Set([...ends, ...stops])].filter((token) => token !== undefined && token !== '');
  const text = modelfileText({
    from: './model.gguf',
    adapter: apart ? './adapter.gguf' : undefined,
    template,
    parameters: [
      ['num_ctx', Math.min(familyOf(config).contextLength(config, path), MOST_CONTEXT)],
      ...(options.greedy ? [['temperature', 0] as const] : []),
      ...stop.map((token) => ['stop', token!] as const),
    ],
  });
  writeFileAtomic(path, text);
  return { ...exported, notes };
}

interface OllamaChat {
  readonly template: string | undefined;
  readonly stops: readonly string[];
  readonly note?: string;
}

function chatOf(tokenizer: Tokenizer, plain: boolean): OllamaChat {
  if (plain || !tokenizer.hasChatTemplate) return { template: PLAIN, stops: [] };
  // Of today's date only Ollama's own would be right tomorrow.
  const form = tokenizer.chatTemplate!.includes('strftime_now')
    ? undefined
    : turnForm((messages) => tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true }));
  if (!form)
    return {
      template: undefined,
      stops: [],
      note: "the chat template does not lay turns one behind the other: the Modelfile has no TEMPLATE, and Ollama takes its own where it knows the model's, else the bare prompt",
    };
  const begin = tokenizer.encode('')[0];
  const bos = begin !== undefined && begin === tokenizer.bosId ? tokenizer.idToToken(begin)! : '';
  return {
    template: goTemplate(form, bos),
    stops: endsOf(form, tokenizer),
    ...(form.withoutSystem && {
      note: 'the chat template takes no system message: in Ollama one stands before the first question',
    }),
  };
}

/** The special token that stands first behind an answer. */
function endsOf({ answered }: TurnForm, tokenizer: Tokenizer): string[] {
  const id = tokenizer.encode(answered.trimStart(), { addSpecialTokens: false })[0];
  return id !== undefined && tokenizer.isSpecial(id) ? [tokenizer.idToToken(id)!] : [];
}
