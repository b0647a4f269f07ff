/** Reading tables, drawing samples, packing tokens into blocks. */
export {
  IGNORE_INDEX,
  packConcat,
  packIsolated,
  unpacked,
  type Block,
  type ConcatOptions,
  type Example,
  type PackingOptions,
} from './packing.js';
export { readTable, TABLE_FORMATS, type ReadOptions, type TableFormat } from './read.js';
export type { Row } from './row.js';
export {
  epochOrder,
  lengthGroupedOrder,
  splitRows,
  trainTestSplit,
  type Label,
  type Parts,
  type PartSizes,
  type Split,
  type SplitOptions,
} from './sampling.js';
export { selectColumns, type DroppedRow, type Selection, type SelectOptions } from './select.js';
