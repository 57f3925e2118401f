/**
 * Runs Rust tests built for WebAssembly in headless Chromium; cargo's runner for that target:
 *
 *   node wasm-test-runner.mjs --BUILD TEST.wasm [ARGUMENT]...
 *
 * wasm-bindgen's own runner serves the page (with the headers that isolate it) but wants a WebDriver
 * to open it; here the same browser does that as for all other tests.
 */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch } from './browser.mjs';
import { compileShader } from './shader-compiler.mjs';

const [build, ...command] = process.argv.slice(2);
const webgpu = build === '--webgpu';

/** Longest a test binary may take, in milliseconds; a GPU in software is slow. */
const LIMIT = webgpu ? 1_800_000 : 300_000;

/**
 * Folders that tests may read below the page's address, by the way of a request; the first that
 * fits is taken. A folder is answered with the names in it, a line each.
 * @type {[string, string][]}
 */
const SERVED = [
  ['/parity/converted/', fileURLToPath(new URL('../../target/parity/', import.meta.url))],
  ['/parity/', fileURLToPath(new URL('../parity/', import.meta.url))],
];

/** @param {import('../../www/node_modules/playwright-core/index.js').Route} route */
function answer(route) {
  const { pathname } = new URL(route.request().url());
  const [way, folder] = SERVED.find(([way]) => pathname.startsWith(way)) ?? ['', ''];
  const path = join(folder, pathname.slice(way.length));
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return route.fulfill({ status: 404 });
  return route.fulfill({
    body: found.isDirectory() ? readdirSync(path).sort().join('\n') : readFileSync(path),
  });
}

/**
 * The adapter that a page gets and what it has.
 * @param {import('../../www/node_modules/playwright-core/index.js').Page} page
 */
function adapter(page) {
  return page.evaluate(async () => {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) return 'no adapter';
    const { vendor, architecture } = adapter.info;
    return `${vendor} ${architecture}: ${[...adapter.features].sort().join(', ')}`;
  });
}

/** A port nobody uses. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(undefined);
    });
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** @param {string} address */
async function reachable(address) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    if (await fetch(address).catch(() => undefined)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`wasm-bindgen-test-runner did not serve at ${address}`);
}

const address = `127.0.0.1:${await freePort()}`;
const runner = process.env['WASM_BINDGEN'] ?? 'wasm-bindgen';
const server = spawn(`${runner}-test-runner`, command, {
  env: { ...process.env, NO_HEADLESS: '1', WASM_BINDGEN_TEST_ADDRESS: address },
  stdio: ['ignore', 'ignore', 'inherit'],
});
const browser = await launch({ webgpu });
try {
  await reachable(`http://${address}/`);
  const page = await browser.newPage();
  await page.route((url) => url.pathname.startsWith('/parity/'), answer);
  await page.route(
    (url) => url.pathname === '/shader',
    async (route) => {
      const request = route.request();
      const features = new URL(request.url()).searchParams.get('features') ?? '';
      const names = features.split(',').filter((name) => name !== '');
      await route.fulfill({ body: await compileShader(page, request.postData() ?? '', names) });
    },
  );
  await page.goto(`http://${address}/`);
  if (webgpu) console.log(await adapter(page));
  const output = page.locator('#output');
  const done = output.filter({ hasText: /test result: \w+/ });
  await done.waitFor({ timeout: LIMIT }).catch(() => undefined);
  const text = (await output.textContent()) ?? '';
  console.log(text);
  if (!text.includes('test result: ok')) process.exitCode = 1;
} finally {
  await browser.close();
  server.kill();
}
