/** The kinds of adapter, a row each. */

import { own } from '../../util/own.js';
import type { AdapterKind, AdapterTensor } from './kind.js';
import { LORA } from './lora.js';

const ADAPTER_KINDS = { lora: LORA } as const satisfies Record<string, AdapterKind>;

export type AdapterKindName = keyof typeof ADAPTER_KINDS;

const NAMES = Object.keys(ADAPTER_KINDS) as AdapterKindName[];

/** `lora` where a configuration names none. */
export function kindOf(name: AdapterKindName = 'lora'): AdapterKind {
  return ADAPTER_KINDS[name];
}

/** The kind that PEFT's switches in adapter_config.json say; undefined: LoRA itself. */
export function kindOfSwitches(fields: ReadonlyMap<string, unknown>): AdapterKindName | undefined {
  const said = (name: AdapterKindName): boolean => {
    const switches = Object.entries<boolean>(ADAPTER_KINDS[name].peft);
    return switches.length > 0 && switches.every(([field, value]) => fields.get(field) === value);
  };
  return NAMES.find(said);
}

/** Whether a field of adapter_config.json says a kind, by this value. */
export function isKindSwitch(field: string, value: unknown): boolean {
  return value !== undefined && NAMES.some((name) => own(ADAPTER_KINDS[name].peft, field) === value);
}

/** Whether a tensor of an adapter's file, by its name, is one that kinds put on modules. */
export function isKindTensor(name: string): boolean {
  return NAMES.some((kind) =>
    Object.entries<AdapterTensor>(ADAPTER_KINDS[kind].tensors).some(([tensor, { raw }]) =>
      [tensor, raw].some((ending) => name.endsWith(`.${ending}`)),
    ),
  );
}
