import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch, openDemo, outcome, serve } from './browser.mjs';
import { demoModel, expected, photo, pngHeader, withWrongShape } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

const PISTOL = 'firearm-pistol.jpg';

/**
 * Drops a file on the page as a file manager would.
 * @param {Page} page
 * @param {string} name
 * @param {Buffer} bytes
 */
async function drop(page, name, bytes) {
  const dataTransfer = await page.evaluateHandle(
    ([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64 ?? ''), (char) => char.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name ?? '', { type: 'image/jpeg' }));
      return transfer;
    },
    [name, bytes.toString('base64')],
  );
  await page.dispatchEvent('#drop', 'drop', { dataTransfer });
}

/**
 * Chooses a file in the page's picker.
 * @param {Page} page
 * @param {string} input
 * @param {string} name
 * @param {Buffer} buffer
 */
function choose(page, input, name, buffer) {
  return page.locator(input).setInputFiles({ name, mimeType: '', buffer });
}

/**
 * @param {Page} page
 * @param {() => Promise<unknown>} action
 */
async function assessed(page, action) {
  const found = await outcome(page, action);
  assert.ok('assessment' in found, JSON.stringify(found));
  return found.assessment;
}

/**
 * The error a card shows.
 * @param {Page} page
 * @param {string} selector
 */
async function shownError(page, selector) {
  const error = page.locator(selector);
  await error.waitFor({ state: 'visible' });
  return {
    code: await error.getAttribute('data-code'),
    text: await error.innerText(),
  };
}

describe('the demo page', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let server;
  /** @type {Page} */
  let page;
  /** @type {string[]} */
  const served = [];
  /** @type {string[]} */
  const complaints = [];

  before(async () => {
    browser = await launch();
    server = await serve({ onRequest: (address) => served.push(address) });
    page = await openDemo(browser, server.url);
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
  });

  after(async () => {
    await browser.close();
    await server.close();
  });

  test('is isolated and runs the threaded build', async () => {
    assert.equal(await page.evaluate('crossOriginIsolated'), true);
    assert.equal(await page.locator('#model-status').getAttribute('data-build'), 'relaxed');
  });

  test('judges a dropped photo, and again at once when O6 is switched off', async () => {
    const first = await assessed(page, () => drop(page, PISTOL, photo(PISTOL)));
    assert.equal(first.rating, 'Unsafe');
    assert.equal(first.category.id, 'O6');
    assert.ok(first.unsafe_probability > 0.5);
    assert.ok(first.timings_ms.vision > 0);
    assert.equal(await page.locator('#rating').innerText(), 'Unsafe');
    assert.equal(await page.locator('#category').innerText(), first.category.name);
    assert.equal(await page.locator('#rationale').innerText(), first.rationale?.trim());

    const second = await assessed(page, () => page.getByRole('switch', { name: 'O6' }).uncheck());
    assert.equal(await page.locator('#rating').innerText(), 'Safe');
    assert.equal(second.rating, 'Safe');
    assert.equal(second.category.id, 'O6');
    assert.ok(second.unsafe_probability < 0.5);
    assert.notEqual(second.policy_id, first.policy_id);
    // The session's image was not looked at again.
    assert.equal(second.timings_ms.vision, 0);

    const third = await assessed(page, () => page.getByRole('button', { name: 'Reset' }).click());
    assert.equal(await page.locator('#rating').innerText(), 'Unsafe');
    assert.deepEqual(withoutTimings(third), withoutTimings(first));
  });

  test('judges the sample photos as the demo model is known to', async () => {
    const found = [];
    const wanted = [];
    for (const [name, { default: verdict }] of Object.entries(expected())) {
      const { rating, category } = await assessed(page, () =>
        choose(page, '#photo-input', name, photo(name)),
      );
      found.push([name, rating, category.id]);
      wanted.push([name, verdict?.rating, verdict?.category_id]);
    }
    assert.ok(found.length >= 10);
    assert.deepEqual(found, wanted);
  });

  test('the switches work by keyboard', async () => {
    await assessed(page, () => choose(page, '#photo-input', PISTOL, photo(PISTOL)));
    const toggle = page.getByRole('switch', { name: 'O6' });
    await toggle.focus();
    await page.keyboard.press('Space');
    await page
      .locator('#rating')
      .filter({ hasText: /^Safe$/ })
      .waitFor();
    // The list was drawn anew; the focus stays where the user left it.
    assert.ok(await toggle.evaluate((node) => node === document.activeElement));
    await page.keyboard.press('Space');
    await page
      .locator('#rating')
      .filter({ hasText: /^Unsafe$/ })
      .waitFor();
  });

  for (const [what, name, bytes, code] of /** @type {[string, string, Buffer, string][]} */ ([
    ['a truncated JPEG', 'cut.jpg', photo(PISTOL).subarray(0, 2500), 'image.truncated'],
    ['a PNG of 60,000 x 60,000', 'huge.png', pngHeader(60_000, 60_000), 'image.too_large'],
    ['text', 'text.jpg', Buffer.from('Not a photo.\n'), 'image.unsupported_format'],
    ['an empty file', 'empty.jpg', Buffer.alloc(0), 'image.empty'],
  ])) {
    test(`${what} gets its own error and no verdict`, async () => {
      const found = await outcome(page, () => choose(page, '#photo-input', name, bytes));
      assert.ok('error' in found, JSON.stringify(found));
      assert.equal(found.error.code, code);
      assert.match(found.error.message, /^[A-Z].*\.$/s);
      assert.ok(await page.locator('#verdict').isHidden());
      assert.doesNotMatch(await page.locator('#result').innerText(), /\bsafe\b/i);
    });
  }

  test('a policy with a typo gets an error that names the place; the last policy stays', async () => {
    await page.locator('#policy-editor summary').click();
    const editor = page.locator('#policy-json');
    await editor.fill('{"categories": {"O6": {"can": ["Be old."], "shoud_not": ["Shoot."]}}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    const error = await shownError(page, '#policy-error');
    assert.equal(error.code, 'policy.unknown_key');
    assert.match(error.text, /shoud_not.*should_not/s);
    assert.match(error.text, /O6/);
    assert.ok(await page.getByRole('switch', { name: 'O6' }).isChecked());

    await editor.fill('{"categories": {"O6": "removed"}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('#policy-error').waitFor({ state: 'hidden' });
    assert.equal(await page.getByRole('switch').count(), 8);
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('switch', { name: 'O6' }).waitFor();
  });

  for (const [what, make, code] of /** @type {[string, () => Buffer, string][]} */ ([
    ['cut in half', () => half(demoModel()), 'model.truncated'],
    ['with a wrong shape', () => withWrongShape('blk.0.ffn_up.weight'), 'model.wrong_shape'],
    ['that is none', () => Buffer.from('Not a model at all.'), 'model.not_gguf'],
  ])) {
    test(`a model file ${what} gets its own error; the loaded model stays in use`, async () => {
      await choose(page, '#model-input', 'model.gguf', make());
      const error = await shownError(page, '#model-error');
      assert.equal(error.code, code);
      assert.match(error.text, /^[A-Z].*\.$/s);
      const still = await assessed(page, () => choose(page, '#photo-input', PISTOL, photo(PISTOL)));
      assert.equal(still.rating, 'Unsafe');
    });
  }

  test('a model file of the user is loaded and used', async () => {
    const status = page.locator('#model-status');
    const again = await assessed(page, async () => {
      await choose(page, '#model-input', 'mine.gguf', demoModel());
      await status.and(page.locator('[data-state="ready"]')).waitFor();
    });
    assert.ok(await page.locator('#model-error').isHidden());
    assert.equal(again.category.id, 'O6');
  });

  test('nothing is requested once the page has loaded, and it works without a network', async () => {
    const fresh = await openDemo(browser, server.url);
    // Until its service worker has what it needs, the page is still loading.
    await fresh.evaluate(async () => void (await navigator.serviceWorker.ready));
    served.length = 0;
    /** @type {string[]} */
    const requests = [];
    fresh.context().on('request', (request) => requests.push(request.url()));
    await fresh.context().setOffline(true);
    for (const name of [PISTOL, 'groceries-bananas.jpg']) {
      await assessed(fresh, () => drop(fresh, name, photo(name)));
    }
    await assessed(fresh, () => fresh.getByRole('switch', { name: 'O6' }).uncheck());
    const low = await assessed(fresh, () => fresh.locator('#detail').selectOption('low'));
    assert.equal(low.detail.level, 'low');
    // The preview is a blob: address of the page itself; nothing of it leaves the tab.
    assert.deepEqual(
      requests.filter((url) => !url.startsWith(`blob:${new URL(server.url).origin}/`)),
      [],
    );
    // The page may reach no other server than its own, and that one heard nothing either.
    // The browser looks by itself whether there is a newer service worker, with nothing in its request.
    assert.deepEqual(
      served.filter((address) => address !== '/service-worker.js'),
      [],
    );
    await fresh.context().close();
  });

  test('no error reached the console', () => {
    assert.deepEqual(complaints, []);
  });
});

/** @param {Buffer} bytes */
function half(bytes) {
  return bytes.subarray(0, bytes.length / 2);
}

/** @param {import('llavaguard').Assessment} assessment */
function withoutTimings({ timings_ms: _, ...rest }) {
  return rest;
}
