/** The page at `/` in a browser: base and adapter are asked side by side, and nothing is asked of anybody else. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium, type Browser } from 'playwright-core';
import { CHROMIUM } from '../../scripts/chromium.js';
import { KEY, serving, type Serving } from './support.js';

// On a checking machine a browser that is missing is a fault of the check, not a reason to pass.
const skip = CHROMIUM === undefined && !process.env['CI'] && 'no Chromium below /usr/bin';

describe('the page of the server', { skip }, () => {
  let browser: Browser;
  let s: Serving;

  before(async () => {
    assert.ok(CHROMIUM, 'no Chromium below /usr/bin: install it');
    s = await serving();
    // As root, which a container's user often is, Chromium has no sandbox.
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  after(async () => {
    await browser.close();
    await s.close();
  });

  test('asks both models, shows what each says, and tells what is refused', async () => {
    const page = await browser.newPage();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).origin));
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(s.url);
    await page.fill('#key', KEY);
    await page.press('#key', 'Tab');
    await page.waitForSelector('input[value=tuned]');
    await page.fill('#tokens', '12');
    await page.fill('#message', 'Tea at four? <b>');
    await page.press('#message', 'Enter');
    await page.waitForFunction(`document.getElementById('send').textContent === 'Send'
      && document.querySelectorAll('.assistant').length === 2`);
    const shown = await page.locator('.turn').allTextContents();
    const answers: string[] = [];
    for (const model of ['base', 'tuned']) {
      const { choices } = await s.client.chat.completions.create({
        ...{ model, messages: [{ role: 'user', content: 'Tea at four? <b>' }], temperature: 0 },
        max_completion_tokens: 12,
      });
      answers.push('Tea at four? <b>', choices[0]!.message.content!);
    }
    assert.deepEqual(shown, answers);
    await page.fill('#tokens', '5000');
    await page.fill('#message', 'More');
    await page.click('#send');
    await page.waitForSelector('.error');
    assert.match((await page.locator('.error').first().textContent())!, /there is room for 256/);
    assert.deepEqual([...new Set(asked)], [s.url]);
    assert.deepEqual(faults, []);
    await page.close();
  });
});
