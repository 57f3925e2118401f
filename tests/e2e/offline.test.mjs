import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { launch, openDemo, outcome, serve } from './browser.mjs';
import { photo } from './materials.mjs';
import { goTo } from './page.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

const PISTOL = 'firearm-pistol.jpg';
const WORKER = new URL('../../www/demo/dist/service-worker.js', import.meta.url);

/**
 * Waits until the page can do without its server.
 * @param {Page} page
 */
function kept(page) {
  return page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    while (active?.state !== 'activated') {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
}

/** @param {Page} page */
async function ready(page) {
  await page.locator('#model-status[data-state="ready"]').waitFor();
}

/** @param {Page} page */
async function judged(page) {
  const found = await outcome(page, () =>
    page
      .locator('#photo-input')
      .setInputFiles({ name: PISTOL, mimeType: '', buffer: photo(PISTOL) }),
  );
  assert.ok('assessment' in found, JSON.stringify(found));
  return found.assessment.rating;
}

describe('the page on its own', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;

  before(async () => {
    browser = await launch();
  });

  after(async () => {
    await browser.close();
  });

  test('works without a network after the first load, threads and all', async () => {
    const server = await serve();
    const page = await openDemo(browser, server.url);
    await goTo(page, 'Models');
    assert.match(await page.locator('#model-source').innerText(), /Every byte was verified/);
    await goTo(page, 'Judge');
    await kept(page);
    // Not only offline: the server is gone.
    await server.close();
    await page.reload();
    await ready(page);
    assert.equal(await page.locator('#model-status').getAttribute('data-build'), 'relaxed');
    assert.equal(await judged(page), 'Unsafe');
    await page.context().close();
  });

  test('a new version is offered, and used once the user says so', async () => {
    let version = '';
    const server = await serve({
      answerFirst: (request, response, headers) => {
        if (request.url !== '/service-worker.js' || version === '') return false;
        const script = readFileSync(WORKER, 'utf8').replace(
          /const VERSION = ["'](\w+)["']/,
          `const VERSION = '${version}'`,
        );
        response.writeHead(200, { ...headers, 'Content-Type': 'text/javascript' }).end(script);
        return true;
      },
    });
    const page = await openDemo(browser, server.url);
    await kept(page);
    await page.reload();
    await ready(page);
    const banner = page.locator('#page-update');
    assert.ok(await banner.isHidden());
    version = 'another';
    await page.reload();
    await ready(page);
    await banner.waitFor({ state: 'visible' });
    const caches = () => page.evaluate(async () => (await globalThis.caches.keys()).sort());
    assert.equal((await caches()).filter((name) => name.startsWith('llavaguard-page')).length, 2);
    await Promise.all([
      page.waitForEvent('load'),
      page.getByRole('button', { name: 'Use it' }).click(),
    ]);
    await ready(page);
    assert.ok(await banner.isHidden());
    const names = (await caches()).filter((name) => name.startsWith('llavaguard-page'));
    assert.deepEqual(names, ['llavaguard-page-another']);
    await page.context().close();
    await server.close();
  });

  test('without the headers it runs on one thread and says so; its worker can isolate it', async () => {
    const server = await serve({ isolated: false });
    const page = await openDemo(browser, server.url);
    const status = page.locator('#model-status');
    assert.equal(await page.evaluate('crossOriginIsolated'), false);
    assert.equal(await status.getAttribute('data-build'), 'simd');
    assert.equal(await judged(page), 'Unsafe');
    await goTo(page, 'Models');
    assert.match(await page.locator('#not-isolated').innerText(), /one\s+thread/);
    const button = page.locator('#isolate');
    await button.waitFor({ state: 'visible' });
    await Promise.all([page.waitForEvent('load'), button.click()]);
    await ready(page);
    assert.equal(await page.evaluate('crossOriginIsolated'), true);
    assert.equal(await status.getAttribute('data-build'), 'relaxed');
    assert.equal(await page.locator('#not-isolated').count(), 0);
    await goTo(page, 'Judge');
    assert.equal(await judged(page), 'Unsafe');
    await page.context().close();
    await server.close();
  });
});
