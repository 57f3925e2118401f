import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { violations } from './axe.mjs';
import { openDemo, outcome } from './browser.mjs';
import { choose, drop, goTo, judge, PISTOL, withPage } from './page.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

/** @type {Record<string, import('../../www/node_modules/playwright-core/index.js').BrowserContextOptions>} */
const LOOKS = {
  'in light': { colorScheme: 'light' },
  'in dark': { colorScheme: 'dark' },
  'on a phone': { viewport: { width: 360, height: 740 } },
};

/**
 * The page's states, each reached from the one before.
 * @type {Record<string, (page: Page) => Promise<unknown>>}
 */
const STATES = {
  'first visit': async () => undefined,
  judged: (page) => judge(page),
  'all opened': async (page) => {
    await page.getByRole('button', { name: 'Got it' }).click();
    await page.locator('#category-O6 .disclosure').click();
    await page.locator('details').evaluateAll((all) => {
      for (const one of all) one.setAttribute('open', '');
    });
  },
  'a rule being edited': (page) =>
    page
      .getByRole('button', { name: /^Edit the rule/ })
      .first()
      .click(),
  'a threshold that overrules': async (page) => {
    await page.locator('#threshold-O6').focus();
    await page.keyboard.press('End');
    await page.locator('#overruled').waitFor();
  },
  'two verdicts': async (page) => {
    await page.locator('#compare').selectOption('museum');
    await page.locator('#other-verdict[data-state="done"]').waitFor();
  },
  'a new category': (page) => page.getByRole('button', { name: 'Add a category' }).click(),
  'a policy with an error': async (page) => {
    await page.locator('#policy-json').fill('{"categories": {"O6": "non-violating"}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('#policy-error').waitFor();
  },
  'the dialog for an address': (page) => page.locator('#from-address').click(),
  'its error': async (page) => {
    await page.locator('#address').fill('http://example.org/');
    await page.keyboard.press('Enter');
    await page.locator('#address-error').waitFor();
  },
  'a photo that is none': async (page) => {
    await page.keyboard.press('Escape');
    await outcome(page, () => choose(page, '#photo-input', 'text.jpg', Buffer.from('Text.')));
  },
  models: (page) => goTo(page, 'Models'),
  'a probed model': async (page) => {
    await page.locator('#model-address').fill('model/manifest.json');
    await page.getByRole('button', { name: 'Check' }).click();
    await page.locator('#probe').waitFor();
  },
  'a refused model': async (page) => {
    await choose(page, '#model-input', 'model.gguf', Buffer.from('Not a model.'));
    await page.locator('#model-error').waitFor();
  },
  'a notice of one': async (page) => {
    await goTo(page, 'Judge');
    await drop(page, 'model.gguf', Buffer.from('Not a model.'));
    await page.locator('#model-error-dismiss').waitFor();
  },
  'in German': async (page) => {
    await page.getByLabel('Language').selectOption('de');
    await page.getByRole('link', { name: 'Prüfen' }).click();
    await page.locator('#audit').waitFor();
  },
};

describe('accessibility', () => {
  const given = withPage();

  for (const [look, options] of Object.entries(LOOKS)) {
    test(`axe finds nothing wrong in any state, ${look}, and nothing is wider than the window`, async () => {
      const page = await openDemo(given.browser, given.server.url, {
        ...options,
        reducedMotion: 'reduce',
      });
      for (const [state, reach] of Object.entries(STATES)) {
        await reach(page);
        assert.deepEqual(await violations(page), [], state);
        const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        assert.ok(over <= 0, `${state}: ${over} pixels too wide`);
      }
      await page.context().close();
    });
  }

  test('a photo is judged and the policy changed by keyboard alone', async () => {
    const { page } = given;
    await page.locator('body').focus();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.className'), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate('document.activeElement.id'), 'content');
    const reach = async (/** @type {string} */ selector) => {
      for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press('Tab');
        if (await page.evaluate(`document.activeElement.matches('${selector}')`)) return;
      }
      assert.fail(`${selector} was not reached`);
    };
    await reach('.samples button');
    await outcome(page, () => page.keyboard.press('Enter'));
    assert.equal(await page.locator('#rating').innerText(), 'Unsafe');
    await reach('#reveal, #category-O6 .disclosure');
    await reach('#category-O6 select');
    await outcome(page, () => page.keyboard.press('ArrowDown'));
    assert.equal(await page.locator('#rating').innerText(), 'Safe');
    // The focus stays where the user left it.
    assert.ok(await page.evaluate(`document.activeElement.matches('#category-O6 select')`));
  });

  test('each view has its title, and the focus follows the navigation', async () => {
    const { page } = given;
    await goTo(page, 'Models');
    assert.match(await page.title(), /^Models/);
    assert.equal(await page.evaluate('document.activeElement.id'), 'content');
    await page.goBack();
    await page.locator('#photo-card').waitFor();
    assert.match(await page.title(), /^LlavaGuard/);
  });

  test('the first visit explains itself, once', async () => {
    const page = await openDemo(given.browser, given.server.url);
    const lines = page.locator('#welcome li');
    assert.equal(await lines.count(), 3);
    await page.locator('#welcome').getByText('No requests since the page was ready').waitFor();
    await page.getByRole('button', { name: 'Got it' }).click();
    await page.reload();
    await page.locator('#welcome-open').waitFor();
    assert.equal(await page.locator('#welcome').count(), 0);
    await page.context().close();
  });

  test('no motion where none is wanted', async () => {
    const page = await openDemo(given.browser, given.server.url, { reducedMotion: 'reduce' });
    await judge(page, PISTOL);
    const moving = await page.evaluate(
      () =>
        [...document.querySelectorAll('*')].filter(
          (element) => getComputedStyle(element).transitionProperty !== 'none',
        ).length,
    );
    assert.equal(moving, 0);
    await page.context().close();
  });
});
