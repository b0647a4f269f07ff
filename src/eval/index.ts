/** Figures for answers: classification and summaries, and how sure they are. */
export { chrf } from './chrf.js';
export {
  classificationReport,
  confusionMatrix,
  macroF1Interval,
  type Averages,
  type ClassificationReport,
  type Confusion,
  type LabelReport,
} from './classification.js';
export {
  figureHeads,
  figureNames,
  mainFigure,
  METRIC_NAMES,
  METRIC_SETTINGS,
  metricOf,
  metricOptionsSchema,
  METRICS,
  scorePredictions,
  unreadNote,
  type Answered,
  type FigureHead,
  type Metric,
  type MetricOptions,
  type Score,
} from './metrics.js';
export { jaccard, lengthRatio, wordOverlap } from './overlap.js';
export { stem } from './porter.js';
export {
  rouge,
  isUnread,
  ROUGE_TOKENIZERS,
  ROUGE_TYPES,
  type RougeOptions,
  type RougeScore,
  type RougeScores,
  type RougeTokenizer,
  type RougeType,
} from './rouge.js';
export {
  alikeInterval,
  areAlike,
  bootstrap,
  comparePaired,
  holm,
  meanIntervals,
  rangeOf,
  shareInterval,
  spread,
  type BootstrapOptions,
  type Interval,
  type PairedComparison,
  type Spread,
} from './statistics.js';
