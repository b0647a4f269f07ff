/**
 * What src is held to: a folder imports only from its own row and the rows below it, and nothing imports in a circle, neither files nor
 * folders. Types count as imports. ARCHITECTURE.md says what is in the folders; a folder's name covers what is below it.
 */

/** Highest first. */
export const rows = [
  ['api'],
  ['cli'],
  ['server'],
  ['experiments/report', 'experiments/publish', 'experiments/verify', 'experiments/certify'],
  ['experiments/run', 'experiments/bench'],
  ['experiments/checks', 'experiments/plan'],
  ['experiments/store'],
  ['experiments/data'],
  ['experiments/config'],
  ['experiments/trackers'],
  ['export', 'import'],
  ['train', 'generate'],
  ['tasks', 'eval', 'data', 'tokenizer'],
  ['models', 'adapters'],
  ['autograd', 'ops'],
  ['quant', 'tensor'],
  ['backends'],
  ['files'],
  ['util'],
];

const within = (folders) => `^src/(${folders.join('|')})/`;
const rule = (name, from, to) => ({ name, severity: 'error', from, to });

export default {
  forbidden: [
    rule('no-circular', {}, { circular: true }),
    { ...rule('no-circular-folder', {}, { circular: true }), scope: 'folder' },
    rule('not-the-entry', {}, { path: '^src/index\\.ts$' }),
    ...rows
      .slice(1)
      .map((row, i) =>
        rule(`not-above-${row}`, { path: within(row) }, { path: within(rows.slice(0, i + 1).flat()) }),
      ),
    // Within experiments folders of one row know nothing of each other.
    ...rows.flatMap((row) =>
      row
        .filter((folder) => folder.startsWith('experiments/') && row.length > 1)
        .map((folder) =>
          rule(
            `beside-${folder}`,
            { path: within([folder]) },
            { path: within(row.filter((f) => f !== folder)) },
          ),
        ),
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
