/**
 * Measures when the page first paints and when its model is ready, from a server on this machine: on
 * a first visit, and on a second one, which the service worker answers. Prints milliseconds since the
 * navigation began, the middle of five visits each.
 *
 *   node first-paint.mjs [--slow N]      with the page's own thread N times slower, as on a phone
 */

import { parseArgs } from 'node:util';

import { launch, serve } from './browser.mjs';

const VISITS = 5;
const { values } = parseArgs({ options: { slow: { type: 'string', default: '1' } } });

const server = await serve();
const browser = await launch();

/**
 * @param {import('./browser.mjs').Page} page
 * @returns {Promise<{ paint: number, ready: number }>}
 */
async function visit(page) {
  await page.goto(server.url);
  await page.locator('#model-status[data-state="ready"]').waitFor();
  return page.evaluate(() => ({
    paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
    ready: performance.now(),
  }));
}

/** @type {Record<string, { paint: number, ready: number }[]>} */
const visits = { first: [], second: [] };
for (let run = 0; run < VISITS; run++) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate: Number(values.slow) });
  visits['first']?.push(await visit(page));
  await page.locator('#request-count[data-count]').waitFor();
  visits['second']?.push(await visit(page));
  await context.close();
}
for (const [which, all] of Object.entries(visits)) {
  const middle = (/** @type {'paint' | 'ready'} */ of) =>
    all.map((each) => each[of]).sort((a, b) => a - b)[VISITS >> 1] ?? NaN;
  console.log(
    `${which} visit: first paint ${middle('paint').toFixed(0)} ms, model ready ${middle('ready').toFixed(0)} ms`,
  );
}
await browser.close();
await server.close();
