/**
 * The pictures of README.md, made of what the repository holds: `node --import tsx scripts/pictures.ts`.
 *
 * docs/pictures/terminal.svg shows what docs/runs.md quotes of a run; docs/pictures/report.png a part of examples/report/report.html, as
 * Chromium shows it. The first comes out the same anywhere (test/docs/pictures.test.ts); the second depends on the fonts of the machine.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { CHROMIUM } from './chromium.js';

const ROOT = resolve(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'docs/pictures');

/** Of the terminal's font, in pixels. */
const WIDTH = 8.43;
const HEIGHT = 20;
const MARGIN = 20;
const BAR = 36;

/** What a run said, with the command before it: the first block of text in docs/runs.md and the command of the block above it. */
export function quotedRun(): { command: string; output: string } {
  const text = readFileSync(join(ROOT, 'docs/runs.md'), 'utf8');
  const [, command, output] = /```sh\n(.*)\n```[^]*?```text\n([^]*?)```/.exec(text)!;
  return { command: command!, output: output!.trimEnd() };
}

/** A terminal's window with a command and its output, as SVG without fonts or scripts of its own. */
export function terminalPicture(command: string, output: string): string {
  const columns = Math.max(...output.split('\n').map((line) => (line.startsWith('|') ? line.length : 0)));
  const lines = [`$ ${command}`, ...output.split('\n')].flatMap((line) => wrapped(line, columns));
  const width = Math.round(2 * MARGIN + columns * WIDTH);
  const height = BAR + MARGIN + lines.length * HEIGHT + MARGIN / 2;
  const texts = lines.map((line, i) => {
    const y = BAR + (i + 1) * HEIGHT;
    const style = i === 0 ? ' class="command"' : /^\| QLoRA/.test(line) ? ' class="tuned"' : '';
    // The length is said, so that columns stand below one another in any monospaced font.
    const length = (line.length * WIDTH).toFixed(1);
    const fit = line === '' ? '' : ` textLength="${length}" lengthAdjust="spacingAndGlyphs"`;
    return `<text x="${MARGIN}" y="${y}"${fit}${style}>${escaped(line)}</text>`;
  });
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (colour, i) => `<circle cx="${MARGIN + i * 20}" cy="18" r="6" fill="${colour}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(command)}</title>`,
    '<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c9d1d9;white-space:pre}' +
      '.command{fill:#7ee787}.tuned{fill:#79c0ff}</style>',
    `<rect width="${width}" height="${height}" rx="10" fill="#0d1117"/>`,
    ...dots,
    ...texts,
    '</svg>',
    '',
  ].join('\n');
}

/** A line in pieces as wide as the screen, between words. */
function wrapped(line: string, columns: number): string[] {
  return line.match(new RegExp(`.{1,${columns}}(?= |$)`, 'gu'))?.map((piece) => piece.trim()) ?? [''];
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** The report's section on how much data it takes: its figure and its table. */
async function shootReport(path: string): Promise<void> {
  if (CHROMIUM === undefined) throw new Error('no Chromium below /usr/bin: install it');
  // As root, which a container's user often is, Chromium has no sandbox.
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage({ viewport: { width: 720, height: 800 }, deviceScaleFactor: 1.25 });
    await page.goto(pathToFileURL(join(ROOT, 'examples/report/report.html')).href);
    const heading = page.locator('h3', { hasText: 'How much data it takes' });
    const table = page.locator('table', { hasText: 'by the number of training rows' });
    const [top, bottom] = [await heading.boundingBox(), await table.boundingBox()];
    const y = top!.y - 12;
    const clip = { x: 0, y, width: 720, height: bottom!.y + bottom!.height + 12 - y };
    await page.screenshot({ path, fullPage: true, clip });
  } finally {
    await browser.close();
  }
}

if (process.argv[1] === import.meta.filename) {
  mkdirSync(FOLDER, { recursive: true });
  const { command, output } = quotedRun();
  writeFileSync(join(FOLDER, 'terminal.svg'), terminalPicture(command, output));
  await shootReport(join(FOLDER, 'report.png'));
}
