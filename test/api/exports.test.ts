/** The package as a program meets it: its names, their types under both ways to resolve them, its documentation, and `require`. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import ts from 'typescript';

const ROOT = resolve(import.meta.dirname, '../..');
const API = join(ROOT, 'src/api');
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, { types: string; default: string }>;
};
/** By the name under which a program imports it, the source of an entry. */
const sources = new Map(
  Object.entries(exports).map(([subpath, { types }]) => [
    join('westwind', subpath),
    join(ROOT, types.replace('./dist/', 'src/').replace('.d.ts', '.ts')),
  ]),
);
const built = Object.values(exports).every((entry) => existsSync(join(ROOT, entry.default)));
const consumer = mkdtempSync(join(tmpdir(), 'westwind-consumer-'));
after(() => rmSync(consumer, { recursive: true }));

test('each subpath is a file of src/api, and its types stand beside its code', () => {
  for (const [subpath, entry] of Object.entries(exports)) {
    assert.equal(entry.default, subpath === '.' ? './dist/index.js' : `./dist/api/${basename(subpath)}.js`);
    assert.equal(entry.types, entry.default.replace(/js$/, 'd.ts'));
  }
  const files = [join(ROOT, 'src/index.ts'), ...readdirSync(API).map((name) => join(API, name))];
  assert.deepEqual([...sources.values()].sort(), files.sort());
});

test('the package itself exports what a screen holds, and each export of an entry is documented', () => {
  const program = ts.createProgram([...sources.values()], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  const bare: string[] = [];
  for (const [name, path] of sources) {
    const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)!)!);
    if (name === 'westwind') assert.ok(symbols.length <= 50, `${symbols.length} names`);
    for (const symbol of symbols) {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      if (target.getDocumentationComment(checker).length === 0) bare.push(`${name}: ${symbol.name}`);
    }
  }
  assert.deepEqual(bare, []);
});

const USE = `
${[...sources.keys()].map((name, i) => `import * as entry${i} from '${name}';`).join('\n')}
import { generate, loadModel, UserError, type CausalLM } from 'westwind';
export const entries = [${[...sources.keys()].map((_, i) => `entry${i}`).join(', ')}];
export const answer = (model: CausalLM) => generate(model, [{ index: 0, ids: [1] }], { max_new_tokens: 8, stopTokens: [] });
export const load: Parameters<typeof loadModel>[1] = 'a folder';
// @ts-expect-error: a number is no message
export const refused = new UserError(1);
`;

for (const [resolution, module, extension] of [
  [ts.ModuleResolutionKind.Node16, ts.ModuleKind.Node16, 'mts'],
  [ts.ModuleResolutionKind.NodeNext, ts.ModuleKind.NodeNext, 'cts'], // which may require ES modules
  [ts.ModuleResolutionKind.Bundler, ts.ModuleKind.ESNext, 'ts'],
] as const)
  test(
    `a program with ${ts.ModuleResolutionKind[resolution]} resolution has the types (.${extension})`,
    { skip: !built },
    () => {
      link();
      const path = join(consumer, `use.${extension}`);
      writeFileSync(path, USE);
      const program = ts.createProgram([path], {
        module,
        moduleResolution: resolution,
        target: ts.ScriptTarget.ES2022,
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        types: ['node'],
        skipLibCheck: resolution !== ts.ModuleResolutionKind.Node16, // our own declarations once, too
        skipDefaultLibCheck: true,
        typeRoots: [join(ROOT, 'node_modules/@types')],
      });
      const faults = ts.getPreEmitDiagnostics(program).map((fault) => {
        const text = ts.flattenDiagnosticMessageText(fault.messageText, '\n');
        return `${fault.file?.fileName ?? ''}: ${text}`;
      });
      assert.deepEqual(faults, []);
    },
  );

test('import and require give the same names', { skip: !built }, () => {
  link();
  for (const name of sources.keys()) {
    const namesBy = (flags: string[], code: string): unknown =>
      JSON.parse(execFileSync(process.execPath, [...flags, '-e', code], { cwd: consumer, encoding: 'utf8' }));
    const print = 'console.log(JSON.stringify(Object.keys(module_).sort()))';
    const imported = namesBy(['--input-type=module'], `import * as module_ from '${name}'; ${print}`);
    const required = namesBy([], `const module_ = require('${name}'); ${print}`);
    assert.deepEqual(required, imported, name);
  }
});

/** The package as npm links it: a folder of node_modules. */
function link(): void {
  mkdirSync(join(consumer, 'node_modules'), { recursive: true });
  const place = join(consumer, 'node_modules/westwind');
  if (!existsSync(place)) symlinkSync(ROOT, place);
}
