/** A file of a run's folder: its name, and the one way to read and write it, checked. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { writeFileAtomic, writeIfChanged } from '../../util/atomic.js';
import { readChecked } from '../../util/json.js';
import { readRecords, readRecordsFrom, RecordWriter } from './records.js';

/** A value as JSON, written whole or not at all. */
export class JsonFile<T> {
  /**
   * @param schema what readers rely on of T: what it does not know is passed on as it is
   * @param mend what to do where the file is damaged
   * @param indent of the JSON's lines
   */
  constructor(
    readonly name: string,
    private readonly schema: z.ZodType,
    private readonly mend: string,
    private readonly indent = 2,
  ) {}

  in(folder: string): string {
    return join(folder, this.name);
  }

  isIn(folder: string): boolean {
    return existsSync(this.in(folder));
  }

  /** Throws UserError where it is missing or damaged. */
  read(folder: string, mend = this.mend): T {
    return readChecked(this.in(folder), this.schema, mend) as T;
  }

  /** Undefined where it is not there. Throws UserError where it is damaged. */
  find(folder: string, mend = this.mend): T | undefined {
    return this.isIn(folder) ? this.read(folder, mend) : undefined;
  }

  write(folder: string, value: T): void {
    writeFileAtomic(this.in(folder), this.text(value));
  }

  /** As `write`; a file that holds the value already is left alone. */
  update(folder: string, value: T): void {
    writeIfChanged(this.in(folder), this.text(value));
  }

  private text(value: T): string {
    return JSON.stringify(value, null, this.indent) + '\n';
  }
}

/** Records as JSON lines, each written as it comes. */
export class LinesFile<T> {
  constructor(
    readonly name: string,
    private readonly schema: z.ZodType,
  ) {}

  in(folder: string): string {
    return join(folder, this.name);
  }

  /** The whole records, none where there is no file. Throws UserError for a damaged one. */
  read(folder: string): T[] {
    return readRecords<T>(this.in(folder), this.schema);
  }

  /** Those behind an earlier call's `end`; 0: all. */
  readFrom(folder: string, from: number): { readonly records: T[]; readonly end: number } {
    return readRecordsFrom<T>(this.in(folder), from, this.schema);
  }

  /** Appends behind the whole records that are there. */
  writer(folder: string): RecordWriter<T> {
    return new RecordWriter<T>(this.in(folder));
  }
}
