/**
 * Takes pictures of the page's states, for people to look at: into tests/e2e/screenshots/, which git
 * ignores.
 *
 *   node screenshots.mjs [LOOK]...      all of light, dark, phone when none is named
 */

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { rangeOf } from '../../www/demo/scripts/serve.mjs';
import { auditIs, goToAudit } from './audit-page.mjs';
import { launch, openDemo, outcome, serve } from './browser.mjs';
import { demoModel, expected, photo } from './materials.mjs';
import { choose, drop, goTo, judge } from './page.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

const FOLDER = fileURLToPath(new URL('screenshots/', import.meta.url));
const MODEL = demoModel();

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

/**
 * The states of the page with its model, each reached from the one before.
 * @type {Record<string, (page: Page) => Promise<unknown>>}
 */
const STATES = {
  start: (page) => page.locator('#request-count[data-count="0"]').waitFor(),
  dragging: (page) =>
    page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([], 'photo.jpg'));
      document.body.dispatchEvent(new DragEvent('dragover', { dataTransfer, bubbles: true }));
    }),
  safe: async (page) => {
    await page.evaluate(() => document.dispatchEvent(new DragEvent('dragleave')));
    await page.locator('#welcome-close').click();
    await judge(page, 'groceries-bananas.jpg');
  },
  unsafe: async (page) => {
    await judge(page);
    await page.locator('#category-O6 .disclosure').click();
  },
  details: (page) =>
    page.locator('#result details').evaluateAll((all) => {
      for (const one of all) one.setAttribute('open', '');
    }),
  comparison: async (page) => {
    await page.locator('#result details').evaluateAll((all) => {
      for (const one of all) one.removeAttribute('open');
    });
    await page.locator('#compare').selectOption('museum');
    await page.locator('#other-verdict[data-state="done"]').waitFor();
  },
  threshold: async (page) => {
    await page.locator('#compare').selectOption('');
    await page.locator('#threshold-O6').focus();
    await page.keyboard.press('End');
    await page.locator('#overruled').waitFor();
  },
  editing: async (page) => {
    await page.locator('#policy-undo').click();
    await page
      .locator('#category-O6')
      .getByRole('button', { name: /^Edit the rule/ })
      .first()
      .click();
    await page.getByRole('button', { name: 'Add a category' }).click();
  },
  policy: async (page) => {
    await page.locator('#category-O6 .disclosure').click();
    await page.locator('#policy-preset').selectOption('school');
    await page.locator('#category-O10').waitFor();
    await page.locator('#category-O1 .disclosure').click();
    await page.getByRole('button', { name: 'Remove O1' }).click();
    await page.getByRole('button', { name: 'Share link' }).click();
    await page.locator('#policy-link').waitFor();
    await page.locator('.policy > details').evaluateAll((all) => {
      for (const one of all) one.setAttribute('open', '');
    });
  },
  errors: async (page) => {
    await page.locator('#policy-json').fill('{"categories": {"O6": "non-violating"}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('#policy-error').waitFor();
    await outcome(page, () => choose(page, '#photo-input', 'text.jpg', Buffer.from('Text.')));
  },
  address: async (page) => {
    await page.locator('#from-address').click();
    await page.locator('#address').fill('http://example.org/photo.jpg');
    await page.keyboard.press('Enter');
    await page.locator('#address-error').waitFor();
  },
  camera: async (page) => {
    await page.keyboard.press('Escape');
    await page.locator('#from-camera').click();
    await page.locator('#capture:enabled').waitFor();
  },
  models: async (page) => {
    await page.keyboard.press('Escape');
    await goTo(page, 'Models');
    await page.locator('#measure').click();
    await page.locator('#benchmark-results').waitFor();
    await page.locator('#model-address').fill('model/manifest.json');
    await page.getByRole('button', { name: 'Check' }).click();
    await page.locator('#probe').waitFor();
  },
  'model-error': async (page) => {
    await choose(page, '#model-input', 'model.gguf', Buffer.from('Not a model.'));
    await page.locator('#model-error').waitFor();
  },
  'model-notice': async (page) => {
    await goTo(page, 'Judge');
    await drop(page, 'model.gguf', Buffer.from('Not a model.'));
    await page.locator('#model-error').waitFor();
  },
  'audit-empty': async (page) => {
    await page.locator('#model-error-dismiss').click();
    await goToAudit(page);
  },
  'audit-running': async (page) => {
    await page.locator('#audit-detail').selectOption('high');
    await page.locator('#audit-files').setInputFiles(album());
    await page.locator('#audit-status:not([data-done="0"])').waitFor();
  },
  audit: async (page) => {
    await auditIs(page, 'idle');
    await page.locator('.audit-grid-body .audit-row[data-rating="Unsafe"]').first().click();
    await page.locator('#audit-details .badge').waitFor();
  },
  'audit-failed': async (page) => {
    await page.locator('.audit-grid-body .audit-row[data-state="failed"]').first().click();
    await page.locator('#audit-details .error').waitFor();
  },
  'audit-german': (page) => page.getByLabel('Language').selectOption('de'),
  'judge-german': async (page) => {
    await page.getByRole('link', { name: 'Beurteilen' }).first().click();
    await judge(page);
    await page.locator('#category-O6 .disclosure').click();
  },
  'models-german': (page) => page.getByRole('link', { name: 'Modelle' }).click(),
};

/** The sample photos, and one that is damaged. */
function album() {
  const names = Object.keys(expected());
  const damaged = { name: 'damaged.jpg', buffer: photo(names[0] ?? '').subarray(0, 600) };
  return [damaged, ...names.map((name) => ({ name, buffer: photo(name) }))].map((file) => ({
    ...file,
    mimeType: 'image/jpeg',
  }));
}

await mkdir(FOLDER, { recursive: true });
const server = await serve();
const plain = await serve({ isolated: false });
const browser = await launch({
  args: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
});

/**
 * The states loading goes through, and a page that is not isolated.
 * @param {string} look
 * @param {import('../../www/node_modules/playwright-core/index.js').BrowserContextOptions} options
 */
async function shootLoading(look, options) {
  const page = await openDemo(browser, plain.url, options);
  await goTo(page, 'Models');
  await page.locator('#isolate').waitFor({ state: 'visible' });
  await page.locator('#page-update').evaluate((banner) => banner.removeAttribute('hidden'));
  await page.screenshot({ path: `${FOLDER}${look}-not-isolated.png`, fullPage: true });
  await page.context().close();
  const { faulty, url } = await slowServer();
  const slow = await (await browser.newContext(options)).newPage();
  await slow.goto(url);
  await slow.locator('#model-status').filter({ hasText: 'left' }).waitFor();
  await slow.screenshot({ path: `${FOLDER}${look}-fetching.png`, fullPage: true });
  await slow.context().close();
  await faulty.close();
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

const wanted = process.argv.slice(2);
for (const [look, options] of Object.entries(LOOKS)) {
  if (wanted.length > 0 && !wanted.includes(look)) continue;
  await shootLoading(look, options);
  const page = await openDemo(browser, server.url, { ...options, reducedMotion: 'reduce' });
  for (const [state, reach] of Object.entries(STATES)) {
    await reach(page);
    await page.screenshot({ path: `${FOLDER}${look}-${state}.png`, fullPage: true });
  }
  await page.context().close();
}
await browser.close();
await server.close();
await plain.close();
