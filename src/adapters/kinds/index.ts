/** The kinds of adapter, a row each. */

import type { AdapterKind } from './kind.js';
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

/** Whether a field of adapter_config.json is a switch of a kind's. */
export function isKindSwitch(field: string): boolean {
  return NAMES.some((name) => field in ADAPTER_KINDS[name].peft);
}
