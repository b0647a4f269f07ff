/**
 * The one way to the terminal. What is written comes from files, servers and models as much as from here: controls in it are shown as
 * escapes, and colours are put around texts that have none. A reader that has gone ends the command quietly, a full disk with a line.
 */

import pc from 'picocolors';
import { UserError } from '../util/errors.js';
import { systemFault } from '../util/faults.js';
import { masked } from '../util/secrets.js';
import { oneLine, visibleJson, visibleLines } from '../util/visible.js';

/** A text in a colour of ours, whose own controls are escapes already. */
export class Painted {
  constructor(readonly text: string) {}
}

type Colour = 'bold' | 'dim' | 'green' | 'red' | 'underline' | 'yellow';

/** A text on one line in a colour; what is painted already may have another beside it. */
export function paint(colour: Colour, text: string | Painted): Painted {
  return new Painted(pc[colour](lineOf(text)));
}

/** A text with its own line breaks. */
export function lines(text: string): Painted {
  return new Painted(visibleLines(text));
}

/** Whether colours are shown. */
export const coloured = pc.isColorSupported;

/** What is shown of parts: one line of standard output. */
export function lineOf(...parts: readonly (string | Painted)[]): string {
  return parts.map((part) => (part instanceof Painted ? part.text : oneLine(part))).join('');
}

/** Writes one line. */
export function say(...parts: readonly (string | Painted)[]): void {
  process.stdout.write(`${lineOf(...parts)}\n`);
}

/** Writes a text of several lines, such as a table, whose cells have no line breaks of their own. */
export function sayLines(text: string): void {
  process.stdout.write(`${visibleLines(text)}\n`);
}

/** Writes JSON: on one line, or indented. */
export function sayJson(value: unknown, indent?: number): void {
  process.stdout.write(`${visibleJson(value, indent)}\n`);
}

/** Writes a part of a model's text: to the letter, but on a terminal. */
export function sayText(text: string): void {
  process.stdout.write(process.stdout.isTTY ? visibleLines(text) : text);
}

/** A line on standard error, or one for each of several, without secrets. */
export function warn(text: string): void {
  process.stderr.write(`westwind: ${visibleLines(masked(text))}\n`);
}

/** The columns that tables and bars have to do with; undefined where nobody counts them. */
export function screenColumns(
  out: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'> = process.stdout,
): number | undefined {
  const asked = Number(process.env['COLUMNS']);
  if (Number.isInteger(asked) && asked > 0) return asked;
  // A terminal that does not know its own width says 0.
  return out.isTTY ? out.columns || 80 : undefined;
}

/** As a shell tells of a command that was ended by SIGPIPE. */
const BROKEN_PIPE = 141;

/** Ends the command where its output cannot be written. */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(BROKEN_PIPE);
    const what = error.code === 'ENOSPC' ? 'no space is left there' : error.message;
    warn(`cannot write the output: ${what}`);
    process.exit(2);
  });
  // Nobody is left to be told.
  process.stderr.on('error', () => undefined);
}

/** Tells of what ended the command. @returns its exit code */
export function tellFault(thrown: unknown): number {
  const error = systemFault(thrown);
  if (error instanceof UserError) {
    warn(error.message);
    return 2;
  }
  warn("an error of Westwind's own; please report it");
  process.stderr.write(
    `${visibleLines(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`,
  );
  return 70;
}
