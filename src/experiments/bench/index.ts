export { benchGeneration, type GenerateFigures } from './generation.js';
export { benchLoading, type LoadFigures } from './loading.js';
export { benchCopy, benchProduct, type ProductRate } from '../plan/products.js';
export { benchTraining, type TrainFigures } from './training.js';
