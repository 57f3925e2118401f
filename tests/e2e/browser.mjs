/** Headless Chromium and the page in it, as the tests and `./run` use them. */

import { createReadStream, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

import { rangeOf } from '../../www/demo/scripts/serve.mjs';
import playwright from '../../www/node_modules/playwright-core/index.js';

/** The demo's server. */
export { serve } from '../../www/demo/scripts/serve.mjs';

/** @typedef {import('../../www/node_modules/playwright-core/index.js').Browser} Browser */
/** @typedef {import('../../www/node_modules/playwright-core/index.js').Page} Page */

/** How the browser is started. */
export const OPTIONS = {
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: [
    // Root cannot use Chromium's sandbox; the pages opened here are our own.
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
  ],
};

/** Chromium's GPU in software (SwiftShader), the same on every machine. */
export const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/**
 * What answers requests below `/big/` with a folder's files and ranges of them, for `serve`.
 *
 * @param {string} folder
 * @returns {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, headers: Record<string, string>) => boolean}
 */
export function modelFiles(folder) {
  return (request, response, headers) => {
    const { pathname } = new URL(request.url ?? '', 'http://localhost');
    const [, name] = /^\/big\/(.+)/.exec(pathname) ?? [];
    if (name === undefined) return false;
    const path = join(folder, basename(name));
    const { size } = statSync(path);
    const range = rangeOf(request.headers, '', size);
    const [start, end] = range ?? [0, size];
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'Content-Length': end - start,
      ...(range ? { 'Content-Range': `bytes ${start}-${end - 1}/${size}` } : {}),
    });
    createReadStream(path, { start, end: end - 1 }).pipe(response);
    return true;
  };
}

/**
 * Starts a browser that asks nothing of the network by itself; with `webgpu` it offers a GPU in
 * software; `args` are further arguments.
 *
 * @param {{ webgpu?: boolean, args?: string[] }} [options]
 */
export function launch({ webgpu = false, args: more = [] } = {}) {
  const args = [...OPTIONS.args, ...(webgpu ? WEBGPU : []), ...more];
  return playwright.chromium.launch({ ...OPTIONS, args });
}

/**
 * Starts such a browser over a profile on disk, which outlives it.
 *
 * @param {string} profile a folder
 * @returns {Promise<{ context: import('../../www/node_modules/playwright-core/index.js').BrowserContext, kill: () => Promise<void> }>}
 *   `kill` ends all its processes as a crash would: nothing is told and nothing written any more
 */
export async function launchPersistent(profile) {
  const context = await playwright.chromium.launchPersistentContext(profile, OPTIONS);
  const closed = new Promise((resolve) => context.once('close', resolve));
  return {
    context,
    kill: async () => {
      for (const pid of processesOf(profile)) process.kill(pid, 'SIGKILL');
      await closed;
      // What the last browser left there tells the next one that it is still running.
      for (const name of ['SingletonLock', 'SingletonSocket', 'SingletonCookie']) {
        rmSync(join(profile, name), { force: true });
      }
    },
  };
}

/**
 * The processes that were started with a profile's folder among their arguments.
 * @param {string} profile
 */
function processesOf(profile) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--user-data-dir=${profile}`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/**
 * Opens the demo page and waits until its model is ready.
 *
 * @param {Browser} browser
 * @param {string} url
 * @param {import('../../www/node_modules/playwright-core/index.js').BrowserContextOptions} [options]
 * @returns {Promise<Page>}
 */
export async function openDemo(browser, url, options) {
  const context = await browser.newContext(options);
  // A machine that does other work too may take long; only one that hangs should fail a test.
  context.setDefaultTimeout(Number(process.env['E2E_TIMEOUT'] ?? 180_000));
  const page = await context.newPage();
  await page.goto(url);
  const status = page.locator('#model-status');
  await status.and(page.locator('[data-state="ready"], [data-state="failed"]')).waitFor();
  if ((await status.getAttribute('data-state')) === 'failed') {
    throw new Error(await page.locator('#model-error').innerText());
  }
  return page;
}

/**
 * Opens an empty page with storage of its own, for tests that load the package themselves.
 *
 * @param {Browser} browser
 * @param {string} url
 * @returns {Promise<Page>}
 */
export async function openBlank(browser, url) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(180_000);
  await page.goto(`${url}sdk/test/blank.html`);
  return page;
}

/**
 * What the page says once it has finished with what `action` set off. What it said before is marked
 * as stale first, since the page may take a moment to begin.
 *
 * @param {Page} page
 * @param {() => Promise<unknown>} action
 * @returns {Promise<{ assessment: import('llavaguard').Assessment } | { error: { code: string, message: string } }>}
 */
export async function outcome(page, action) {
  const result = page.locator('#result');
  await result.evaluate((card) => card.setAttribute('data-state', 'stale'));
  await action();
  await result.and(page.locator('[data-state="done"], [data-state="failed"]')).waitFor();
  if ((await result.getAttribute('data-state')) === 'done') {
    return {
      assessment: JSON.parse((await page.locator('#json').textContent()) ?? '').assessment,
    };
  }
  const error = page.locator('#result-error');
  return {
    error: {
      code: (await error.getAttribute('data-code')) ?? '',
      message: await error.innerText(),
    },
  };
}
