export { benchGeneration, type GenerateFigures } from './generation.js';
export { benchLoading } from './loading.js';
export { benchTraining, type TrainFigures } from './training.js';
