/**
 * What src is held to: a folder imports only from its own row and the rows below it, and nothing imports in a circle, neither files nor
 * folders. Types count as imports. The rows are those of ARCHITECTURE.md, highest first; a folder's own name covers what is below it.
 */
const rows = [
  ['cli'],
  ['experiments/run', 'experiments/report', 'experiments/verify', 'experiments/bench'],
  ['experiments/checks', 'experiments/trackers', 'experiments/plan'],
  ['experiments/store'],
  ['experiments/data'],
  ['experiments/config'],
  ['train', 'generate', 'eval'],
  ['tasks', 'data', 'tokenizer'],
  ['models', 'adapters'],
  ['autograd', 'ops'],
  ['quant', 'tensor'],
  ['backends'],
  ['files'],
  ['util'],
];

const within = (folders) => `^src/(${folders.join('|')})/`;

export default {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-circular-folder', scope: 'folder', severity: 'error', from: {}, to: { circular: true } },
    // The package's entries re-export from all rows, and nothing in a row may know them.
    {
      name: 'not-an-entry',
      severity: 'error',
      from: {},
      to: { path: '^src/(index|experiments/index)\\.ts$' },
    },
    ...rows.slice(1).map((row, i) => ({
      name: `below-${rows[i].join(',')}`,
      severity: 'error',
      from: { path: within(row) },
      to: { path: within(rows.slice(0, i + 1).flat()) },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
