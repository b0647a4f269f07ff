/** All families of topics, and who neighbours whom. */
import { machines, optics } from './devices.js';
import { games, kitchen, music, stories } from './indoors.js';
import { garden, legs, water, wheels } from './outdoors.js';
import type { Family, Lexicon } from './types.js';

export { generic } from './devices.js';
export type { Lexicon } from './types.js';

const families: readonly Family[] = [
  legs,
  wheels,
  garden,
  water,
  kitchen,
  games,
  stories,
  music,
  optics,
  machines,
];

export interface Topic {
  readonly label: string;
  readonly own: Lexicon;
  readonly shared: Lexicon;
  /** The topic that this one is most easily taken for. */
  readonly neighbour: string;
}

/** The twenty topics by label. */
export const topics: ReadonlyMap<string, Topic> = new Map(
  families.flatMap(({ shared, topics }) =>
    Object.entries(topics).map(([label, own]) => {
      const neighbour = Object.keys(topics).find((other) => other !== label)!;
      return [label, { label, own, shared, neighbour }] as const;
    }),
  ),
);

export const labels: readonly string[] = [...topics.keys()].sort();
