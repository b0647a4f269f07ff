/** What the documents say is there and works: paths, commands and their options, configurations, code, environment variables. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import ts from 'typescript';
import { parse } from 'yaml';
import type { Verb } from '../../src/cli/main.js';
import { loadStudy, parseConfig, presetNames } from '../../src/experiments/config/index.js';
import { commandsOf, readDocument, ROOT, spansOf, tableUnder, type MarkdownDocument } from './markdown.js';

const documents = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'LOG.md',
  'BENCHMARKS.md',
  'CHANGELOG.md',
  'examples/data/README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map(readDocument);

const named = (path: string): MarkdownDocument => documents.find((document) => document.path === path)!;

test('every path and link in a document leads to something', () => {
  const missing = documents.flatMap((document) =>
    [...document.links.map(({ path }) => path || '.'), ...pathsOf(document)]
      .filter((path) => !leadsSomewhere(document, path))
      .map((path) => `${document.path}: ${path}`),
  );
  assert.deepEqual(missing, []);
});

test('every link to a heading leads to one', () => {
  for (const { path, links } of documents) {
    for (const link of links.filter(({ anchor }) => anchor !== '')) {
      const target = link.path === '' ? path : join(dirname(path), link.path);
      assert.ok(readDocument(target).headings.includes(link.anchor), `${path}: ${target}#${link.anchor}`);
    }
  }
});

/** Words of commands and spans that look like a path of this repository; a part in capitals stands for a name of the reader's. */
function pathsOf(document: MarkdownDocument): string[] {
  const words = commandsOf(document).flatMap((text) => text.split(/\s+/));
  const isPath = (word: string): boolean =>
    /^[\w.*-]+(\/[\w.*-]+)*\/?$/.test(word) && !/\/[A-Z]+(\.ts)?$/.test(word);
  return words.filter((word) => isPath(word) && isOurs(document, word));
}

/** Something below a folder of ours, or a source file by its name alone. */
function isOurs(document: MarkdownDocument, path: string): boolean {
  const [first] = path.split('/');
  const below = bases(document).some((base) => inside(join(base, first!)) && existsSync(join(base, first!)));
  return (path.includes('/') && below) || /^([\w.-]+\.(ts|mjs|c)|[A-Z]+\.md)$/.test(path);
}

function leadsSomewhere(document: MarkdownDocument, path: string): boolean {
  if (!path.includes('/') && sources.has(path)) return true;
  return bases(document).some((base) => matches(join(base, path)));
}

const bases = (document: MarkdownDocument): string[] => [ROOT, join(ROOT, dirname(document.path))];

const inside = (path: string): boolean => !relative(ROOT, path).startsWith('..') && resolve(path) !== ROOT;

/** Whether there is such a file or folder; the last part may have stars. */
function matches(path: string): boolean {
  if (!path.includes('*')) return existsSync(path);
  const pattern = new RegExp(`^${basename(path).replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  return existsSync(dirname(path)) && readdirSync(dirname(path)).some((name) => pattern.test(name));
}

const sources = new Set(filesBelow('src').map((path) => basename(path)));

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('README.md leads to every document of docs', () => {
  const led = named('README.md').links.map(({ path }) => path);
  const missing = documents.filter(({ path }) => path.startsWith('docs/') && !led.includes(path));
  assert.deepEqual(
    missing.map(({ path }) => path),
    [],
  );
});

test('docs/map.md answers each question by one file that is there', () => {
  const answers = named('docs/map.md').rows.filter(([question]) => /[?:] $/.test(question!));
  assert.ok(answers.length >= 10);
  for (const [question, answer] of answers) {
    const [file, ...more] = spansOf(answer!);
    assert.ok(file !== undefined && more.length === 0 && statSync(join(ROOT, file)).isFile(), question);
  }
});

test('what CONTRIBUTING.md says must be added or changed is there, or its folder is', () => {
  for (const [what, ...cells] of tableUnder(named('CONTRIBUTING.md'), 'How to add')) {
    const paths = spansOf(cells.join(' ')).filter((span) => span.includes('/'));
    // A name in capitals stands for the new file's.
    const places = paths.map((path) => (/\/[A-Z]+(\.\w+)?$/.test(path) ? dirname(path) : path));
    const missing = places.filter((path) => !matches(join(ROOT, path)));
    assert.deepEqual(missing, [], what);
  }
});

test('every npm script that a document names is in package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const { path, text } of documents) {
    for (const [command, name] of text.matchAll(/\bnpm (?:run )?(test|(?<=run )[\w:]+)/g))
      assert.ok(name! in scripts, `${path}: ${command}`);
  }
});

test('every westwind command in a document has its verb and options, and the table of commands has them all', async () => {
  const program = await commands();
  for (const document of documents) {
    for (const command of commandsOf(document)) checkCommand(program, command, document.path);
  }
  const table = tableUnder(named('docs/commands.md'), 'Commands');
  const verbs = table.map(([command]) => /westwind (\w+)/.exec(command!)![1]!);
  assert.deepEqual(verbs.sort(), [...program.keys()].sort());
  for (const [command, , options] of table) {
    const { options: there } = program.get(/westwind (\w+)/.exec(command!)![1]!)!;
    const flags = there.flatMap(({ short, long }) => [short, long]).filter((flag) => flag !== undefined);
    assert.deepEqual(spansOf(options!).sort(), flags.sort(), command);
  }
});

/** The program's verbs as its help lists them, each with the options that its file adds. */
async function commands(): Promise<Map<string, Command>> {
  const main = join(ROOT, 'src/cli/main.ts');
  const help = execFileSync(process.execPath, ['--import', 'tsx', main, '--help'], { encoding: 'utf8' });
  const verbs = [...help.split('Commands:')[1]!.matchAll(/^ {2}(\w+)/gm)].map((match) => match[1]!);
  const program = new Map<string, Command>();
  for (const name of verbs.filter((verb) => verb !== 'help')) {
    const { verb } = (await import(`../../src/cli/${name}.js`)) as { verb: Verb };
    const command = new Command(name);
    verb(command);
    program.set(name, command);
  }
  return program;
}

function checkCommand(program: Map<string, Command>, text: string, path: string): void {
  const [, verb, rest] = /^(?:npx )?westwind (\w+)(.*)$/.exec(text) ?? [];
  if (verb === undefined || verb === 'help') return;
  const command = program.get(verb);
  assert.ok(command, `${path}: there is no verb ${verb}: ${text}`);
  const known = command.options.flatMap(({ short, long }) => [short, long]);
  // A quoted prompt may hold anything.
  for (const flag of rest!.replace(/"[^"]*"/g, '').match(/(?<=\s)--?[a-z][\w-]*/g) ?? [])
    assert.ok(known.includes(flag), `${path}: ${verb} has no option ${flag}: ${text}`);
}

test('every configuration in a document and in the examples is valid', () => {
  const folder = mkdtempSync(join(tmpdir(), 'westwind-docs-'));
  try {
    const configurations = documents.flatMap(({ path, fences }) =>
      fences.filter(({ language }) => language === 'yaml').map((fence) => ({ ...fence, path })),
    );
    for (const { path } of documents) {
      for (const { text, line } of configurations.filter((one) => one.path === path)) {
        const { extends: base, tasks } = parse(text) as { extends?: string; tasks?: Record<string, object> };
        if (base === undefined) parseConfig(completed(text), `${path}:${line}`);
        else {
          // It extends a preset, or a whole configuration of the documents that has its tasks.
          const below = configurations.find(
            (other) =>
              other.text.includes('model_name_or_path:') &&
              Object.keys(tasks ?? {}).every((name) => other.text.includes(`  ${name}:`)),
          );
          assert.ok(below ?? presetNames().includes(base), `${path}:${line}`);
          for (const [, file] of `${below?.text ?? ''}${text}`.matchAll(/path: ([\w./-]+)/g)) {
            mkdirSync(dirname(join(folder, file!)), { recursive: true });
            writeFileSync(join(folder, file!), '');
          }
          if (below) writeFileSync(join(folder, base), below.text);
          writeFileSync(join(folder, 'study.yaml'), text);
          assert.ok(loadStudy(join(folder, 'study.yaml')).runs.length > 0);
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const examples = readdirSync(join(ROOT, 'examples')).filter((file) => file.endsWith('.yaml'));
  for (const path of examples.map((name) => join(ROOT, 'examples', name))) {
    const text = readFileSync(path, 'utf8');
    if (!text.includes('extends:')) parseConfig(text, path);
  }
  // Their model and data are in the repository.
  for (const name of ['quickstart.yaml', 'study.yaml']) loadStudy(join(ROOT, 'examples', name));
});

/** A part of a configuration with what it lacks. */
function completed(text: string): string {
  const keys = Object.keys(parse(text) as object);
  const model = keys.includes('model_name_or_path') ? '' : 'model_name_or_path: m\n';
  const tasks = keys.includes('tasks') ? '' : 'tasks: {t: {task: summarization, test: {path: t.csv}}}\n';
  return model + tasks + text;
}

test('the TypeScript in a document compiles under the project’s settings', () => {
  const codes = new Map(
    documents.flatMap(({ path, fences }) =>
      fences
        .filter(({ language }) => language === 'ts')
        .map(
          ({ text, line }) => [join(ROOT, 'test/docs', `${basename(path, '.md')}-${line}.ts`), text] as const,
        ),
    ),
  );
  assert.ok(codes.size > 0);
  assert.deepEqual(diagnose(codes), []);
});

/** What the compiler finds in files that are not on the disk; 'westwind' is the source itself. */
function diagnose(codes: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      baseUrl: '.',
      paths: { westwind: ['./src/index.ts'], 'westwind/*': ['./src/api/*.ts'] },
    },
    ROOT,
  );
  const host = ts.createCompilerHost(options);
  host.readFile = (path) => codes.get(path) ?? ts.sys.readFile(path);
  host.fileExists = (path) => codes.has(path) || ts.sys.fileExists(path);
  const program = ts.createProgram([...codes.keys()], options, host);
  return [...codes.keys()]
    .flatMap((path) => ts.getPreEmitDiagnostics(program, program.getSourceFile(path)))
    .map(({ file, start, messageText }) => {
      const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start!).line + 1;
      return `${basename(file?.fileName ?? '')}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
}

test('docs/environment.md names the environment variables that the source reads, and no document one that nothing reads', () => {
  const table = tableUnder(named('docs/environment.md'), 'Environment variables');
  const told = table.flatMap(([cell]) => spansOf(cell!));
  assert.deepEqual(told.sort(), [...variablesRead(['src'])].sort());
  const read = variablesRead(['src', 'test', 'test-shared', 'scripts', '.ci']);
  for (const { path, text } of documents)
    for (const [name] of text.matchAll(/\b(?:WESTWIND|HF)_[A-Z_]+\b/g))
      assert.ok(read.has(name), `${path}: ${name}`);
});

function variablesRead(folders: readonly string[]): Set<string> {
  const text = folders.flatMap(filesBelow).map((path) => readFileSync(path, 'latin1'));
  const uses =
    /(?:process\.env\.|\benv\['|\benvironment\(\s*'|getenv\("|\$\{?(?=WESTWIND_))([A-Z][A-Z_]+)\b/g;
  return new Set(text.flatMap((t) => [...t.matchAll(uses)].map((match) => match[1]!)));
}

test('the rows of ARCHITECTURE.md are those that lint holds, and have every folder of the source', async () => {
  const lint = (await import(pathToFileURL(join(ROOT, '.dependency-cruiser.mjs')).href)) as {
    rows: string[][];
  };
  const tables = tableUnder(named('ARCHITECTURE.md'), 'Layers').map(([, folders]) => spansOf(folders!));
  const head = tables.findIndex((row) => row.length === 0); // of the second table, that of src/experiments
  const [rows, within] = [tables.slice(0, head), tables.slice(head + 1)];
  const described = rows.flatMap((row) =>
    row.includes('experiments') ? within.map((inner) => inner.map((name) => `experiments/${name}`)) : [row],
  );
  assert.deepEqual(described, lint.rows);
  const foldersIn = (path: string): string[] =>
    readdirSync(join(ROOT, path), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  assert.deepEqual(rows.flat().sort(), foldersIn('src'));
  assert.deepEqual(within.flat().sort(), foldersIn('src/experiments'));
});

test('no document names a path of somebody’s machine', () => {
  const machines = /(?<![\w~.])\/(?:home|root|work|Users|tmp|mnt|opt|var)\/.*/g;
  const found = documents.flatMap(({ path, text }) =>
    [...text.matchAll(machines)].map(([name]) => `${path}: ${name}`),
  );
  assert.deepEqual(found, []);
});
