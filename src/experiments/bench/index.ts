export { benchGeneration, type GenerateFigures } from './generation.js';
export { benchLoading, type LoadFigures } from './loading.js';
export { benchTraining, type TrainFigures } from './training.js';
