/** What every format is read into. */

/**
 * One row by column name. The values are JSON's: strings only from CSV. A number that JavaScript would write in another way (1.10, or one
 * of more digits than it holds) is its digits as they stand in the file, a string; within a cell's list or object only the latter is.
 */
export type Row = Record<string, unknown>;
