/** `westwind merge`: a base model and an adapter become one full-precision model. */

import { mergeAdapter } from '../adapters/merge.js';
import { readAdapterConfig } from '../adapters/peft.js';
import type { FloatDtype } from '../files/index.js';
import { resolveModel } from '../import/resolve.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { deviceOptions, openBackend, type DeviceFlags } from './device.js';
import { interrupted } from './interrupt.js';
import type { Verb } from './main.js';
import { say } from './output.js';

const DTYPES: Readonly<Record<string, FloatDtype>> = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' };

interface Flags extends DeviceFlags {
  readonly model?: string;
  readonly revision?: string;
  readonly out: string;
  readonly dtype?: string;
  readonly maxShardSize?: string;
  readonly force?: boolean;
}

export const verb: Verb = (command) => {
  deviceOptions(command)
    .argument('<adapter>', 'an adapter folder in PEFT format')
    .requiredOption('-o, --out <dir>', 'where the merged model goes')
    .option(
      '--model <name>',
      'the base model: a folder or a name on the hub (default: what the adapter names)',
    )
    .option('--revision <name>', "a branch, tag or commit of the hub's model")
    .option('--dtype <type>', `${Object.keys(DTYPES).join(', ')} (default: as the base)`)
    .option('--max-shard-size <size>', 'the largest file, such as 5GB')
    .option('--force', 'write into a folder that holds something already')
    .action(async (adapter: string, flags: Flags) => {
      const name = flags.model ?? readAdapterConfig(adapter).base_model_name_or_path;
      if (name == null) throw new UserError(`${adapter} does not name its base model: give it by --model`);
      const known = flags.dtype === undefined || Object.hasOwn(DTYPES, flags.dtype);
      if (!known) {
        throw new UserError(`--dtype ${flags.dtype}: ${Object.keys(DTYPES).join(', ')} are known`);
      }
      const dtype = flags.dtype === undefined ? undefined : DTYPES[flags.dtype];
      const backend = await openBackend(flags);
      const signal = interrupted();
      let modules: string[];
      try {
        const base = await resolveModel(name, { revision: flags.revision, signal });
        const { maxShardSize, force } = flags;
        modules = await mergeAdapter(backend, base, adapter, flags.out, {
          dtype,
          maxShardSize,
          force,
          signal,
        });
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
        say(`stopped; ${flags.out} is as it was before`);
        process.exitCode = 130;
        return;
      }
      say(`merged ${modules.length} modules of ${adapter} into ${name}: ${flags.out}`);
    });
};
