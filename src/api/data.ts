/** Tables, samples of their rows, and the packing of texts into blocks. */
export * from '../data/index.js';
export { resolveDataset } from '../files/index.js';
