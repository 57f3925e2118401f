/**
 * Takes pictures of the page's states, for people to look at: into tests/e2e/screenshots/, which git
 * ignores.
 *
 *   node screenshots.mjs
 */

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { rangeOf } from '../../www/demo/scripts/serve.mjs';
import { launch, openDemo, outcome, serve } from './browser.mjs';
import { demoModel } from './materials.mjs';

const FOLDER = fileURLToPath(new URL('screenshots/', import.meta.url));
const MODEL = demoModel();
const PHOTOS = fileURLToPath(new URL('../photos/', import.meta.url));

/** @type {Record<string, import('../../www/node_modules/playwright-core/index.js').BrowserContextOptions>} */
const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  phone: {
    colorScheme: 'light',
    viewport: { width: 360, height: 740 },
    deviceScaleFactor: 2,
  },
};

await mkdir(FOLDER, { recursive: true });
const server = await serve();
const plain = await serve({ isolated: false });
const browser = await launch();

/**
 * The model's card in the states loading goes through.
 * @param {string} look
 * @param {import('../../www/node_modules/playwright-core/index.js').BrowserContextOptions} options
 */
async function shootLoading(look, options) {
  const page = await openDemo(browser, plain.url, options);
  const card = page.locator('#model-card');
  await page.locator('#isolate').waitFor({ state: 'visible' });
  await page.locator('#stored').evaluate((details) => details.setAttribute('open', ''));
  await page.locator('#page-update').evaluate((banner) => banner.removeAttribute('hidden'));
  await page.screenshot({ path: `${FOLDER}${look}-not-isolated.png`, fullPage: true });
  const { faulty, url } = await slowServer();
  const slow = await (await browser.newContext(options)).newPage();
  await slow.goto(url);
  await slow.locator('#model-status').filter({ hasText: 'left' }).waitFor();
  await slow.locator('#model-card').screenshot({ path: `${FOLDER}${look}-fetching.png` });
  await slow.context().close();
  await faulty.close();
  await card.screenshot({ path: `${FOLDER}${look}-model.png` });
  await page.context().close();
}

/** The page on a slow line. */
async function slowServer() {
  const faulty = await serve({
    answerFirst: (request, response, headers) => {
      if (!request.url?.endsWith('.gguf')) return false;
      const [start, end] = rangeOf(request.headers, '', MODEL.length) ?? [0, MODEL.length];
      response.writeHead(206, {
        ...headers,
        'Content-Range': `bytes ${start}-${end - 1}/${MODEL.length}`,
      });
      let at = start;
      const timer = setInterval(() => {
        response.write(MODEL.subarray(at, Math.min(at + 8_000, end)));
        at += 8_000;
        if (at >= end) response.end();
        if (at >= end || response.destroyed) clearInterval(timer);
      }, 40);
      return true;
    },
  });
  return { faulty, url: faulty.url };
}

for (const [look, options] of Object.entries(LOOKS)) {
  await shootLoading(look, options);
  const page = await openDemo(browser, server.url, options);
  /** @param {string} state */
  const shoot = (state) =>
    page.screenshot({ path: `${FOLDER}${look}-${state}.png`, fullPage: true });
  /** @param {string} name */
  const judge = (name) =>
    outcome(page, () => page.locator('#photo-input').setInputFiles(`${PHOTOS}${name}`));
  await shoot('start');
  await judge('firearm-pistol.jpg');
  await shoot('judged');
  await outcome(page, () => page.getByRole('switch', { name: 'O6' }).uncheck());
  await page.locator('details').evaluateAll((all) => {
    for (const one of all) one.setAttribute('open', '');
  });
  await shoot('allowed');
  await page.locator('#policy-json').fill('{"categories": {"O6": "non-violating"}}');
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.locator('#policy-error').waitFor({ state: 'visible' });
  await judge('README.md');
  await shoot('errors');
  await page.context().close();
}
await browser.close();
await server.close();
await plain.close();
