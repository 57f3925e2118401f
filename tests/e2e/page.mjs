/** What the tests of the page's flows share. */

import assert from 'node:assert/strict';
import { after, before } from 'node:test';

import { launch, openDemo, outcome, serve } from './browser.mjs';
import { photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

export const PISTOL = 'firearm-pistol.jpg';

/**
 * A browser and a server for the tests of a suite, and the page in it. What reaches the console as an
 * error, or as one nobody caught, fails the suite.
 *
 * @param {object} [options]
 * @param {string[]} [options.args] more arguments of the browser
 * @param {import('../../www/node_modules/playwright-core/index.js').BrowserContextOptions} [options.context]
 * @param {RegExp} [options.allowed] complaints that belong to the flow
 */
export function withPage({ args = [], context = {}, allowed } = {}) {
  /** @type {string[]} */
  const complaints = [];
  const given = {
    /** @type {import('./browser.mjs').Browser} */
    browser: /** @type {any} */ (undefined),
    /** @type {Awaited<ReturnType<typeof serve>>} */
    server: /** @type {any} */ (undefined),
    /** @type {Page} */
    page: /** @type {any} */ (undefined),
    /** @type {string[]} */
    served: [],
  };
  before(async () => {
    given.browser = await launch({ args });
    given.server = await serve({ onRequest: (address) => given.served.push(address) });
    given.page = await openDemo(given.browser, given.server.url, context);
    given.page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    given.page.on('pageerror', (error) => complaints.push(error.message));
  });
  after(async () => {
    await given.browser.close();
    await given.server.close();
    assert.deepEqual(
      complaints.filter((text) => !allowed?.test(text)),
      [],
    );
  });
  return given;
}

/**
 * Drops a file on the page as a file manager would.
 * @param {Page} page
 * @param {string} name
 * @param {Buffer} bytes
 */
export async function drop(page, name, bytes) {
  const dataTransfer = await transfer(page, name, bytes);
  await page.dispatchEvent('body', 'drop', { dataTransfer });
}

/**
 * What a drop or a paste carries.
 * @param {Page} page
 * @param {string} name
 * @param {Buffer} bytes
 */
export function transfer(page, name, bytes) {
  return page.evaluateHandle(
    ([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64 ?? ''), (char) => char.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name ?? '', { type: 'image/jpeg' }));
      return transfer;
    },
    [name, bytes.toString('base64')],
  );
}

/**
 * Chooses a file in one of the page's pickers.
 * @param {Page} page
 * @param {string} input
 * @param {string} name
 * @param {Buffer} buffer
 */
export function choose(page, input, name, buffer) {
  return page.locator(input).setInputFiles({ name, mimeType: '', buffer });
}

/**
 * The assessment of what `action` sets off.
 * @param {Page} page
 * @param {() => Promise<unknown>} action
 */
export async function assessed(page, action) {
  const found = await outcome(page, action);
  assert.ok('assessment' in found, JSON.stringify(found));
  return found.assessment;
}

/**
 * Judges a sample photo.
 * @param {Page} page
 * @param {string} [name]
 */
export function judge(page, name = PISTOL) {
  return assessed(page, () => choose(page, '#photo-input', name, photo(name)));
}

/**
 * The error a place on the page shows: a sentence.
 * @param {Page} page
 * @param {string} selector
 */
export async function shownError(page, selector) {
  const error = page.locator(selector);
  await error.waitFor({ state: 'visible' });
  const text = await error.innerText();
  // What begins with a key, which is shown as code, begins as the key does.
  const key = await error.evaluate(
    (shown) => (shown.querySelector('p') ?? shown).firstChild?.nodeName === 'CODE',
  );
  assert.match(text, key ? /[.?]$/s : /^\p{Lu}.*[.?]$/su);
  assert.doesNotMatch(text, /`/);
  return { code: await error.getAttribute('data-code'), text };
}

/**
 * Goes to a view by the page's navigation.
 * @param {Page} page
 * @param {string} name
 */
export async function goTo(page, name) {
  await page.getByRole('navigation').getByRole('link', { name }).click();
  await page.locator('#content').and(page.getByLabel(name)).waitFor();
}
