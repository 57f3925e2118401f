import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { openDemo } from './browser.mjs';
import { expected, photo } from './materials.mjs';
import { assessed, choose, drop, judge, PISTOL, withPage } from './page.mjs';

describe('the verdict', () => {
  const given = withPage({
    context: { permissions: ['clipboard-read', 'clipboard-write'], reducedMotion: 'reduce' },
  });

  test('the page is isolated and runs the threaded build', async () => {
    const { page } = given;
    assert.equal(await page.evaluate('crossOriginIsolated'), true);
    assert.equal(await page.locator('#model-status').getAttribute('data-build'), 'relaxed');
  });

  test('of each sample photo is as the demo model is known to give it', async () => {
    const found = [];
    const wanted = [];
    for (const [name, { default: verdict }] of Object.entries(expected())) {
      const { rating, category } = await judge(given.page, name);
      found.push([name, rating, category.id]);
      wanted.push([name, verdict?.rating, verdict?.category_id]);
    }
    assert.ok(found.length >= 10);
    assert.deepEqual(found, wanted);
  });

  test('shows rating, category, probability, threshold, reason, times and tokens', async () => {
    const { page } = given;
    const found = await judge(page);
    assert.equal(await page.locator('#rating').innerText(), 'Unsafe');
    assert.equal(await page.locator('#category').innerText(), found.category.name);
    assert.equal(await page.locator('#rationale').innerText(), found.rationale?.trim());
    const percent = (100 * found.unsafe_probability).toFixed(1);
    assert.equal(await page.locator('#probability').innerText(), `${percent}%`);
    const meter = page.getByRole('meter', { name: 'Probability of Unsafe' });
    assert.equal(await meter.getAttribute('aria-valuenow'), percent);
    assert.match((await meter.getAttribute('aria-valuetext')) ?? '', /Unsafe from 50% on/);
    await page.locator('#facts-fold summary').click();
    const facts = await page.locator('#facts').innerText();
    assert.match(
      facts,
      new RegExp(`auto: \\d+ tiles?, ${found.detail.visual_tokens} visual tokens`),
    );
    assert.match(facts, /Vision tower\s+\d/);
    assert.match(
      facts,
      new RegExp(`${found.tokens.visual} visual \\+ ${found.tokens.prompt} text`),
    );
    const rows = page.locator('#category-bars tbody tr');
    assert.equal(await rows.count(), 1);
    await page.getByRole('button', { name: 'Show all 10' }).click();
    assert.equal(await rows.count(), found.category_probabilities.length);
    const likeliest = rows.filter({ hasText: found.category.name });
    const width = await likeliest.locator('.fill').getAttribute('width');
    const { probability } = found.category_probabilities.find(({ id }) => id === 'O6') ?? {};
    assert.equal(Number(width), 100 * (probability ?? NaN));
  });

  test('the reason can be read while it is written, after the verdict', async () => {
    const { page } = given;
    await judge(page, 'groceries-bananas.jpg');
    await page.evaluate(() => {
      /** @type {[string, string][]} */
      const seen = [];
      Object.assign(globalThis, { seen });
      new MutationObserver(() => {
        const state = document.getElementById('result')?.dataset['state'] ?? '';
        const text = document.getElementById('rationale')?.textContent ?? '';
        const rated = document.getElementById('rating')?.textContent ?? '';
        if (seen.at(-1)?.[1] !== text) seen.push([`${state} ${rated}`, text]);
      }).observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    const found = await judge(page);
    const seen = /** @type {[string, string][]} */ (await page.evaluate('seen'));
    const whole = found.rationale?.trim() ?? '';
    const parts = seen.filter(
      ([state, text]) => state === 'working Unsafe' && text !== '' && text.trim() !== whole,
    );
    assert.ok(parts.length > 2, JSON.stringify(seen));
    for (const [, text] of parts) assert.ok(whole.startsWith(text.trim()), text);
  });

  test('Unsafe blurs the photo until it is asked for; Safe does not', async () => {
    const { page } = given;
    await judge(page);
    const blurred = () =>
      page.locator('#preview').evaluate((image) => getComputedStyle(image).filter.includes('blur'));
    assert.equal(await blurred(), true);
    await page.getByRole('button', { name: 'Show the photo' }).click();
    assert.equal(await blurred(), false);
    await page.getByRole('button', { name: 'Blur the photo' }).click();
    assert.equal(await blurred(), true);
    // Another photo begins anew.
    await judge(page, 'groceries-bananas.jpg');
    assert.equal(await blurred(), false);
    assert.equal(await page.locator('#reveal').count(), 0);
  });

  test('points at the category, and at the rule whose words the reason shares', async () => {
    const { page } = given;
    await judge(page);
    const card = page.locator('#category-O6');
    assert.equal(await card.getAttribute('data-cited'), 'true');
    assert.equal(await page.locator('.category[data-cited="true"]').count(), 1);
    await card.getByRole('button', { name: 'O6 Weapons or Substance Abuse' }).click();
    const rule = card.locator('.rule[data-cited="true"]');
    assert.equal(await rule.count(), 1);
    assert.match(await rule.innerText(), /weapons/i);
    // A guess is called one.
    assert.match(await rule.innerText(), /probably/);
  });

  test('leads to the rules it refers to', async () => {
    const { page } = given;
    await page.setViewportSize({ width: 360, height: 740 });
    await judge(page);
    const disclosure = page.locator('#category-O6 .disclosure');
    if ((await disclosure.getAttribute('aria-expanded')) === 'true') await disclosure.click();
    await page.getByRole('button', { name: 'Show the rules of O6' }).click();
    await page.locator('#category-O6 .disclosure[aria-expanded="true"]:focus').waitFor();
    const top = await page.locator('#category-O6').evaluate((card) => {
      return card.getBoundingClientRect().top;
    });
    assert.ok(top >= 0 && top < 200, String(top));
    // A photo that fits no category refers to no rules.
    await judge(page, 'groceries-bananas.jpg');
    assert.equal(await page.locator('#show-rules').count(), 0);
    await page.setViewportSize({ width: 1280, height: 720 });
  });

  test('is copied as JSON, with what the page makes of it', async () => {
    const { page } = given;
    const found = await judge(page);
    await page.locator('#json-fold summary').click();
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByText('Copied.').waitFor();
    const copied = JSON.parse(await page.evaluate('navigator.clipboard.readText()'));
    assert.deepEqual(copied.assessment, found);
    assert.deepEqual(copied.decision, { rating: 'Unsafe', threshold: 0.5 });
  });

  test('can be stopped, and asked for again', async () => {
    const { page } = given;
    await judge(page);
    await page.evaluate(() => {
      // Before the worker can answer.
      new MutationObserver((_, observer) => {
        const button = document.getElementById('stop');
        if (!button) return;
        observer.disconnect();
        button.click();
      }).observe(document.body, { childList: true, subtree: true });
    });
    await choose(page, '#photo-input', PISTOL, photo(PISTOL));
    await page.locator('#result[data-state="stopped"]').waitFor();
    assert.equal(await page.locator('#verdict').count(), 0);
    const again = await assessed(page, () =>
      page.getByRole('button', { name: 'Judge again' }).click(),
    );
    assert.equal(again.rating, 'Unsafe');
  });

  test('nothing is requested once the page has loaded, and it works without a network', async () => {
    const fresh = await openDemo(given.browser, given.server.url);
    const count = fresh.locator('#request-count');
    await count.and(fresh.locator('[data-count="0"]')).waitFor();
    given.served.length = 0;
    /** @type {string[]} */
    const requests = [];
    fresh.context().on('request', (request) => requests.push(request.url()));
    await fresh.context().setOffline(true);
    for (const name of [PISTOL, 'groceries-bananas.jpg']) {
      await assessed(fresh, () => drop(fresh, name, photo(name)));
    }
    await assessed(fresh, () => fresh.getByRole('button', { name: 'a revolver' }).click());
    const low = await assessed(fresh, () => fresh.locator('#detail').selectOption('low'));
    assert.equal(low.detail.level, 'low');
    assert.equal(await count.getAttribute('data-count'), '0');
    // A preview is a blob: address of the page itself; a sample and the icon come from the service
    // worker's store.
    const { origin } = new URL(given.server.url);
    const kept = /^\/(assets\/[\w-]+\.jpg|icon\.svg)$/;
    assert.deepEqual(
      requests.filter(
        (url) => !url.startsWith(`blob:${origin}/`) && !kept.test(url.replace(origin, '')),
      ),
      [],
    );
    // The server heard nothing. The browser looks by itself whether there is a newer service worker,
    // with nothing in its request.
    assert.deepEqual(
      given.served.filter((address) => address !== '/service-worker.js'),
      [],
    );
    await fresh.context().close();
  });
});
