/** Cases by their number: a reader, one of its files, and that file's damage. */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Backend } from '../../src/backends/contract.js';
import { UserError } from '../../src/util/errors.js';
import { mutate } from './mutate.js';
import { Random } from './random.js';
import { makeReaders, type Reader } from './readers.js';

export type Outcome = 'ok' | 'refused' | 'fault';

interface Ran {
  readonly reader: string;
  readonly outcome: Outcome;
  readonly stack?: string;
}

/** What a person would be shown has an end. */
const MAX_MESSAGE = 20_000;

interface Case {
  readonly reader: string;
  readonly path: string;
  readonly bytes: Buffer;
  readonly random: Random;
}

export class Cases {
  readonly #whole = new Map<string, Buffer>();

  private constructor(
    private readonly readers: Readonly<Record<string, Reader>>,
    private readonly seed: number,
    private readonly own: string,
    private readonly files: ReadonlyMap<string, readonly string[]>,
  ) {}

  /** @param seeds the whole files, of which a copy is made in `own` @param only these readers, where they are named */
  static async open(
    backend: Backend,
    seed: number,
    seeds: string,
    own: string,
    only?: readonly string[],
  ): Promise<Cases> {
    rmSync(own, { recursive: true, force: true });
    cpSync(seeds, own, { recursive: true });
    const all = await makeReaders(backend, own);
    const readers = Object.fromEntries(Object.entries(all).filter(([name]) => only?.includes(name) ?? true));
    const files = new Map(
      Object.entries(readers).map(([name, { seeds: folder, files: wanted }]) => [
        name,
        readdirSync(join(own, folder), { recursive: true, encoding: 'utf8' })
          .map((file) => join(own, folder, file))
          .filter((path) => statSync(path).isFile() && wanted(path))
          .sort(),
      ]),
    );
    const cases = new Cases(readers, seed, own, files);
    for (const path of [...files.values()].flat()) cases.#read(path);
    return cases;
  }

  /** The case of a number: which file of which reader, and what stands in it. */
  make(index: number): Case {
    const random = new Random(this.seed, index);
    const names = Object.keys(this.readers);
    const total = names.reduce((sum, name) => sum + this.readers[name]!.weight, 0);
    let left = (random.below(1 << 20) / (1 << 20)) * total;
    const name = names.find((one) => (left -= this.readers[one]!.weight) < 0) ?? names.at(-1)!;
    const reader = this.readers[name]!;
    const files = this.files.get(name)!;
    const path = random.pick(files);
    const kind = typeof reader.kind === 'string' ? reader.kind : reader.kind(path);
    const others = files.slice(0, 8).map((file) => this.#read(file));
    return {
      reader: name,
      path,
      bytes: mutate(random, this.#read(path), kind, others, reader.pieces),
      random,
    };
  }

  async run(index: number): Promise<Ran> {
    const { reader, path, bytes, random } = this.make(index);
    const of = this.readers[reader]!;
    writeFileSync(path, bytes);
    try {
      await of.read(join(this.own, of.seeds), path, random);
      return { reader, outcome: 'ok' };
    } catch (error) {
      if (error instanceof UserError && error.message.length <= MAX_MESSAGE)
        return { reader, outcome: 'refused' };
      return { reader, outcome: 'fault', stack: stackOf(error) };
    } finally {
      this.#restore(path);
    }
  }

  #read(path: string): Buffer {
    const bytes = this.#whole.get(path) ?? readFileSync(path);
    this.#whole.set(path, bytes);
    return bytes;
  }

  #restore(path: string): void {
    if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, this.#read(path));
  }
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return `not an error: ${String(error)}`;
  const text = error.stack ?? error.message;
  return text.length > 4000 ? `${text.slice(0, 2000)} … ${text.slice(-1500)}` : text;
}
