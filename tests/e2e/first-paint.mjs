/**
 * Measures when the page first paints and when its model is ready, from a server on this machine: on
 * a first visit, and on a second one, which the service worker answers. Prints milliseconds since the
 * navigation began, the middle of five visits each.
 *
 *   node first-paint.mjs [--slow N]      with the page's own thread N times slower, as on a phone
 */

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { launch, serve } from './browser.mjs';

const VISITS = 5;

/** @typedef {{ paint: number, ready: number }} Visit milliseconds since the navigation began */

/**
 * @param {import('./browser.mjs').Page} page
 * @param {string} url
 * @returns {Promise<Visit>}
 */
async function visit(page, url) {
  await page.goto(url);
  await page.locator('#model-status[data-state="ready"]').waitFor();
  return page.evaluate(() => ({
    paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
    ready: performance.now(),
  }));
}

/**
 * Visits the page, each time with a browser that has not seen it before, and then once more.
 *
 * @param {{ count?: number, slow?: number }} [options] how often, and how many times slower the page's
 *   own thread is made
 * @returns {Promise<{ first: Visit[], second: Visit[] }>}
 */
export async function measureVisits({ count = VISITS, slow = 1 } = {}) {
  const server = await serve();
  const browser = await launch();
  /** @type {{ first: Visit[], second: Visit[] }} */
  const visits = { first: [], second: [] };
  try {
    for (let run = 0; run < count; run++) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const session = await context.newCDPSession(page);
      await session.send('Emulation.setCPUThrottlingRate', { rate: slow });
      visits.first.push(await visit(page, server.url));
      await page.locator('#request-count[data-count]').waitFor();
      visits.second.push(await visit(page, server.url));
      await context.close();
    }
  } finally {
    await browser.close();
    await server.close();
  }
  return visits;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { slow: { type: 'string', default: '1' } } });
  const visits = await measureVisits({ slow: Number(values.slow) });
  for (const [which, all] of Object.entries(visits)) {
    const middle = (/** @type {keyof Visit} */ of) =>
      all.map((each) => each[of]).sort((a, b) => a - b)[all.length >> 1] ?? NaN;
    console.log(
      `${which} visit: first paint ${middle('paint').toFixed(0)} ms, model ready ${middle('ready').toFixed(0)} ms`,
    );
  }
}
