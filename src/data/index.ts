/** Reading tables, drawing samples, finding what they have in common, packing tokens into blocks. */
export { firstOf, repeatsOf } from './duplicates/equal.js';
export { nearRepeats } from './duplicates/near.js';
export { sharedGrams } from './duplicates/shared.js';
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
