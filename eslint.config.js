import tseslint from 'typescript-eslint';

// The layers of ARCHITECTURE.md, highest first: a folder imports only from its own row's folder and from rows below it.
const layers = [
  ['cli'],
  ['experiments'],
  ['train', 'generate', 'eval'],
  ['tasks', 'data', 'tokenizer'],
  ['models', 'adapters'],
  ['autograd', 'ops'],
  ['quant', 'tensor'],
  ['backends'],
  ['files'],
  ['util'],
];

const layerRules = layers.flatMap((row, i) =>
  row.map((folder) => {
    const forbidden = layers.slice(0, i).flat();
    return {
      files: [`src/${folder}/**/*.ts`],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: forbidden.map((f) => ({
              regex: `^(\\.\\./)+${f}/`,
              message: `src/${folder} lies below src/${f}: see the layers in ARCHITECTURE.md.`,
            })),
          },
        ],
      },
    };
  }),
);

export default tseslint.config(
  { ignores: ['dist', 'build', 'runs', 'node_modules', '.device'] },
  ...tseslint.configs.strictTypeChecked.map((c) => ({ ...c, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] },
          ],
        },
      ],
      // Indexing typed arrays and checked positions: `!` is the honest spelling under noUncheckedIndexedAccess.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      'max-lines': ['error', { max: 800, skipBlankLines: true }],
    },
  },
  ...layerRules,
);
