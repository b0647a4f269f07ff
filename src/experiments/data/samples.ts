/** A table's rows as a task's samples. Those of a table that is not held in memory read their texts as they are asked for. */

import { toSample, type DataRow, type Sample, type Task } from '../../tasks/index.js';
import { isLazy } from '../../util/list.js';
import { locate, type Table } from './tables.js';

/** A mixture's rows are numbered through all of its sources. */
export function samplesOf(task: Task, { source, rows, indices, mixed }: Table): Sample[] {
  const sampleOf = (row: DataRow, i: number): Sample => {
    const sample = toSample(task, row, indices[i]!);
    return mixed ? { ...sample, row: mixed.first + sample.row, source: mixed } : sample;
  };
  if (!isLazy(rows)) return locate(source, () => Array.from(rows, sampleOf));
  const read = new LastRead((i) => {
    const row = rows.at(i)!;
    return {
      values: () => locate(source, () => task.wording.values(row)),
      answer: () => locate(source, () => sampleOf(row, i)).answer,
    };
  });
  return indices.map((row, i) => new StoredSample(read, i, (mixed?.first ?? 0) + row, mixed));
}

/** A row's parts, which are made where they are asked for. */
interface Parts {
  readonly values: () => Sample['values'];
  readonly answer: () => string;
}

/** What was read last is asked for again: its texts, then its answer. */
class LastRead {
  private last: { readonly index: number; readonly parts: Parts; values?: Sample['values'] } | undefined;

  constructor(private readonly partsOf: (index: number) => Parts) {}

  valuesOf(index: number): Sample['values'] {
    const read = this.read(index);
    return (read.values ??= read.parts.values());
  }

  answerOf(index: number): string {
    return this.read(index).parts.answer();
  }

  private read(index: number): NonNullable<typeof this.last> {
    if (this.last?.index !== index) this.last = { index, parts: this.partsOf(index) };
    return this.last;
  }
}

class StoredSample implements Sample {
  constructor(
    private readonly read: LastRead,
    private readonly index: number,
    readonly row: number,
    readonly source: Sample['source'],
  ) {}

  get values(): Sample['values'] {
    return this.read.valuesOf(this.index);
  }

  get answer(): string {
    return this.read.answerOf(this.index);
  }
}
