/**
 * Judges the sample photos with the demo model in Firefox and in WebKitGTK, those that are installed:
 * by the package, in a page that is cross-origin isolated and in one that is not; and one of them by
 * the demo page. Prints a line of JSON for each, with the build, the threads, where the model is kept,
 * a photo's milliseconds, how many verdicts are as they should be, and what became of an AVIF and a
 * HEIC.
 *
 *   node other-browsers.mjs              after `./run --once` or `./test e2e`, which build the page
 *
 * On Debian: apt-get install firefox-esr webkit2gtk-driver xvfb. Exits with 1 where a photo was not
 * judged as the demo model is known to, and where no browser was found.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { serve } from './browser.mjs';
import { expected, photo } from './materials.mjs';
import { firefox, until, webkit } from './webdriver.mjs';

/** @typedef {import('./webdriver.mjs').Driven} Driven */

const ROOT = fileURLToPath(new URL('../../www', import.meta.url));
const PISTOL = 'firearm-pistol.jpg';
const SAMPLES = Object.keys(expected());
/** A verdict on one thread without relaxed SIMD, on a busy machine. */
const PATIENCE_MS = 180_000;

const HTML = '<!doctype html><meta charset="utf-8"><script type="module" src="/judge.js"></script>';
/** Runs in the browser, and leaves what it found in the page. */
const SCRIPT = `
import { LlavaGuard } from '/sdk/dist/index.js';

const found = { isolated: crossOriginIsolated, gpu: 'gpu' in navigator };
try {
  const guard = await LlavaGuard.load({
    model: '/demo/dist/model/manifest.json',
    onProgress: (step) => { if (step.stage === 'fallback') (found.fallbacks ??= []).push(step); },
  });
  const { build, threads, source } = guard;
  Object.assign(found, { build, threads, storage: source.storage, verified: source.verified });
  for (const [name, type] of [['photo', 'jpg'], ['avif', 'avif'], ['heic', 'heic']]) {
    found[name] = await guard.assess('/photo.' + type).then(
      ({ rating, category, rationale, timings_ms }) => ({
        rating, category: category.id, milliseconds: Math.round(timings_ms.total),
        ...(name === 'photo' ? { rationale } : {}),
      }),
      ({ code, message }) => ({ code, message }),
    );
  }
  found.verdicts = {};
  for (const name of ${JSON.stringify(SAMPLES)}) {
    const { rating, category } = await guard.assess('/samples/' + name, { rationale: false });
    found.verdicts[name] = { rating, category_id: category.id };
  }
} catch (error) {
  found.error = { code: error.code, message: String(error.message ?? error) };
}
document.body.append(Object.assign(document.createElement('output'), { textContent: JSON.stringify(found) }));
`;

/** Gathers what nobody caught in a page. */
const LISTEN = `void (() => {
  const errors = (window.errorsSeen = []);
  addEventListener('error', ({ message }) => errors.push(message));
  addEventListener('unhandledrejection', ({ reason }) => errors.push(String(reason)));
})()`;

/** @type {Record<string, [string, string | Buffer]>} */
const FILES = {
  '/judge.html': ['text/html', HTML],
  '/judge.js': ['text/javascript', SCRIPT],
  '/photo.jpg': ['image/jpeg', photo(PISTOL)],
  ...Object.fromEntries(SAMPLES.map((name) => [`/samples/${name}`, ['image/jpeg', photo(name)]])),
  ...Object.fromEntries(
    ['avif', 'heic'].map((type) => [
      `/photo.${type}`,
      [`image/${type}`, readFileSync(new URL(`fixtures/firearm-pistol.${type}`, import.meta.url))],
    ]),
  ),
};

/**
 * Whether a verdict is what the demo model is known to give.
 * @param {string} name
 * @param {{ rating: string, category_id: string } | undefined} verdict
 */
function isRight(name, verdict) {
  const { rating, category_id } = expected()[name]?.['default'] ?? {};
  return rating !== undefined && verdict?.rating === rating && verdict.category_id === category_id;
}

/** @param {boolean} isolated */
function servePackage(isolated) {
  return serve({
    root: ROOT,
    isolated,
    answerFirst: (request, response, headers) => {
      const [type, body] = FILES[request.url ?? ''] ?? [];
      if (body === undefined) return false;
      response.writeHead(200, { ...headers, 'Content-Type': type }).end(body);
      return true;
    },
  });
}

/**
 * What the package gives in a page.
 * @param {Driven} browser
 * @param {boolean} isolated
 */
async function byPackage(browser, isolated) {
  const server = await servePackage(isolated);
  try {
    await browser.open(`${server.url}judge.html`);
    const text = await until(
      'the package',
      () => browser.evaluate(`document.querySelector('output')?.textContent`),
      PATIENCE_MS,
    );
    const { verdicts = {}, ...found } = JSON.parse(text);
    const right = SAMPLES.filter((name) => isRight(name, verdicts[name]));
    return { ...found, right: right.length, of: SAMPLES.length };
  } finally {
    await server.close();
  }
}

/**
 * What the demo page says of its first sample, once its model is ready.
 * @param {Driven} browser
 */
async function byPage(browser) {
  const server = await serve();
  const state = (/** @type {string} */ id) => `document.getElementById('${id}')?.dataset.state`;
  const text = (/** @type {string} */ id) => `document.getElementById('${id}')?.innerText`;
  const settled = (/** @type {string} */ id) =>
    until(
      `the page's ${id}`,
      async () => {
        const now = await browser.evaluate(state(id));
        return ['ready', 'done', 'failed'].includes(now) ? now : undefined;
      },
      PATIENCE_MS,
    );
  try {
    await browser.open(server.url);
    if ((await settled('model-status')) === 'failed') {
      return { error: await browser.evaluate(text('model-error')) };
    }
    const status = await browser.evaluate(text('model-status'));
    await browser.evaluate(LISTEN);
    await browser.evaluate(`document.querySelector('.samples button').click()`);
    if ((await settled('result')) === 'failed') {
      return { status, error: await browser.evaluate(text('result-error')) };
    }
    const json = await browser.evaluate(`document.getElementById('json').textContent`);
    const { rating, category, timings_ms } = JSON.parse(json).assessment;
    const right = isRight(PISTOL, { rating, category_id: category.id }) ? 1 : 0;
    const milliseconds = Math.round(timings_ms.total);
    for (const view of ['models', 'audit']) {
      await browser.evaluate(`void (location.hash = '#/${view}')`);
      await until(`the view ${view}`, () =>
        browser.evaluate(`document.querySelector('.${view}, #${view}') && true`),
      );
    }
    await browser.evaluate(`void (location.hash = '#/judge')`);
    const requests = await until('the counter of requests', () =>
      browser.evaluate(`document.getElementById('request-count')?.dataset.count`),
    );
    const errors = await browser.evaluate('window.errorsSeen');
    return { status, requests: Number(requests), errors, milliseconds, right, of: 1 };
  } finally {
    await server.close();
  }
}

let browsers = 0;
for (const start of [firefox, webkit]) {
  const browser = await start();
  if (!browser) continue;
  browsers++;
  try {
    for (const [what, judge] of /** @type {const} */ ([
      ['package, isolated page', () => byPackage(browser, true)],
      ['package, page that is not isolated', () => byPackage(browser, false)],
      ['demo page', () => byPage(browser)],
    ])) {
      const found = await judge();
      console.log(JSON.stringify({ browser: browser.version, what, ...found }));
      if (found.right !== found.of || found.errors?.length > 0 || found.requests > 0)
        process.exitCode = 1;
    }
  } finally {
    await browser.close();
  }
}
if (browsers === 0) {
  console.error('Neither Firefox nor WebKitGTK was found. Install one: see the head of this file.');
  process.exitCode = 1;
}
