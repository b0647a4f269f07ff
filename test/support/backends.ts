/** The backends that tests are run on: what WESTWIND_TEST_BACKENDS names, or cpu. One that is named and missing fails. */
export const BACKENDS: readonly string[] = (process.env['WESTWIND_TEST_BACKENDS'] ?? 'cpu')
  .split(',')
  .filter(Boolean);
