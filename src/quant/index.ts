/** 4-bit weights: making, reading, writing, freeing. */

export { isBnbWeight, readBnbMatrix, writeBnbMatrix, type BnbSource, type BnbTensor } from './bnb.js';
export { dynamicMap, quantizeScales, type NestedScales } from '../util/double-quant.js';
export { allocateNf4, freeMatrix, matrixBytes, nf4Bytes, quantizeMatrix, type HostMatrix } from './nf4.js';
