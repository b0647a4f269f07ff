import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser } from 'playwright-core';
import { CHROMIUM } from '../../../scripts/chromium.js';
import { makeReport, writeReport } from '../../../src/experiments/report/index.js';
import { findRunFolders, readRun } from '../../../src/experiments/store/stored.js';
import { writeRun } from './fixtures.js';

// On a checking machine a browser that is missing is a fault of the check, not a reason to pass.
const skip = CHROMIUM === undefined && !process.env['CI'] && 'no Chromium below /usr/bin';

/** In the page: what reaches beyond the window's right edge and is not to be scrolled to; captions have to fit, too, as they do not scroll alone. */
const BEYOND = `(() => {
  for (const details of document.querySelectorAll('details')) details.open = true;
  const edge = document.documentElement.clientWidth + 0.5;
  const beyond = [...document.body.querySelectorAll('*')].filter(
    (element) => element.getBoundingClientRect().right > edge && !element.closest('.scroll, pre'),
  );
  const captions = [...document.querySelectorAll('caption')].filter((caption) => {
    const text = document.createRange();
    text.selectNodeContents(caption);
    return text.getBoundingClientRect().right > edge;
  });
  const page = document.documentElement.scrollWidth > edge ? [document.documentElement] : [];
  return [...page, ...beyond, ...captions].map((element) => element.outerHTML.slice(0, 120));
})()`;

describe('the report in a browser', { skip }, () => {
  const root = mkdtempSync(join(tmpdir(), 'westwind-browser-'));
  const page = pathToFileURL(join(root, 'report/report.html')).href;
  let browser: Browser;

  before(async () => {
    assert.ok(CHROMIUM, 'no Chromium below /usr/bin: install it');
    const label = 'a label that is long enough to be wider than any phone <b>';
    const runs = join(root, 'runs');
    writeRun(runs, { id: 'zero', method: 'zero_shot', right: 4, labels: [label, 'dogs'] });
    for (const [i, trainRows] of [100, 200, 400].entries())
      for (const seed of [1, 2])
        writeRun(runs, {
          id: `r${trainRows}-${seed}`,
          seed,
          trainRows,
          right: 10 + 3 * i + seed,
          labels: [label, 'dogs'],
          data: 'data/20newsgroups',
        });
    writeRun(runs, { id: 'large', model: 'models/large', right: 19, labels: [label, 'dogs'] });
    writeRun(runs, { id: 'bad', seed: 7, failure: `no memory ${'x'.repeat(200)}` });
    writeReport(
      join(root, 'report'),
      makeReport(findRunFolders([runs]).map(readRun), { title: 'Pets & <more>' }),
    );
    // As root, which a container's user often is, Chromium has no sandbox.
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });

  after(async () => {
    await (browser as Browser | undefined)?.close();
    rmSync(root, { recursive: true });
  });

  for (const [width, colorScheme] of [
    [1280, 'light'],
    [390, 'dark'],
  ] as const)
    test(`at ${width} pixels it asks for nothing, has no error, and fits`, async () => {
      const tab = await browser.newPage({ viewport: { width, height: 844 }, colorScheme });
      const faults: string[] = [];
      const others: string[] = [];
      tab.on('console', (message) => {
        if (message.type() === 'error') faults.push(message.text());
      });
      tab.on('pageerror', (error) => faults.push(error.message));
      await tab.route('**', async (route) => {
        if (route.request().url() === page) return route.continue();
        others.push(route.request().url());
        return route.abort();
      });
      await tab.goto(page, { waitUntil: 'networkidle' });
      assert.deepEqual(faults, []);
      assert.deepEqual(others, []);
      assert.equal(await tab.title(), 'Pets & <more>');
      assert.equal(await tab.locator('h1').innerText(), 'Pets & <more>');
      const captions = await tab.locator('caption').allInnerTexts();
      for (const n of [1, 2, 3]) assert.ok(captions.some((text) => text.startsWith(`Table ${n}. `)));
      assert.ok((await tab.locator('svg:visible').count()) > 0);

      assert.deepEqual(await tab.evaluate(BEYOND), []);
      await tab.close();
    });
});
