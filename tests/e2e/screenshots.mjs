/**
 * Takes pictures of the page's states, for people to look at: into tests/e2e/screenshots/, which git
 * ignores.
 *
 *   node screenshots.mjs
 */

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { launch, openDemo, outcome, serve } from './browser.mjs';

const FOLDER = fileURLToPath(new URL('screenshots/', import.meta.url));
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
const browser = await launch();
for (const [look, options] of Object.entries(LOOKS)) {
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
