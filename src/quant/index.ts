/** 4-bit weights. */
export { isBnbWeight, readBnbMatrix, type BnbSource } from './bnb.js';
export { dynamicMap, quantizeScales } from './double-quant.js';
export { freeMatrix, matrixBytes, NF4_BLOCK, quantizeMatrix, type MatrixSource } from './nf4.js';
